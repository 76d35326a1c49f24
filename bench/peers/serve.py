"""The protocol of a side, the same as bench/ours/serve.ts: JSON lines, { run, count } in, { seconds, cpu, value, peak } out."""
import json
import multiprocessing
import os
import resource
import sys
import time

import torch


def configuration():
    config = json.loads(sys.argv[1])
    torch.set_num_threads(config["threads"])
    return config


def processor_time():
    """Of this process and of its workers (Linux); their memory is not counted."""
    total = time.process_time()
    for worker in multiprocessing.active_children():
        with open(f"/proc/{worker.pid}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def serve(works, **facts):
    def answer(**fields):
        print(json.dumps(fields), flush=True)

    answer(**{"ready": True, "name": "PyTorch", "version": torch.__version__, **facts})
    for line in sys.stdin:
        request = json.loads(line)
        work = works[request["run"]]
        seconds = []
        cpu = processor_time()
        for _ in range(request["count"]):
            start = time.perf_counter()
            value = work()
            seconds.append(time.perf_counter() - start)
        cpu = processor_time() - cpu
        answer(seconds=seconds, cpu=cpu, value=value, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
