"""PyTorch's side of bench/load.ts: writes the files (torch.save, safetensors.torch.save_file), or reads one in a process of its own."""
import json
import resource
import sys
import time

import torch


def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def write(shapes, pt, st):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    with open(shapes) as file:
        state = {name: torch.randn(shape) for name, shape in json.load(file)}
    torch.save(state, pt)
    save_file(state, st)


def read(method, path, touch):
    if method == "safetensors.torch":
        from safetensors.torch import load_file
    before = anonymous()
    start, clock = time.perf_counter(), time.process_time()
    if method == "safetensors.torch":
        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True, mmap=method == "torch.load mmap")
    total = sum(float(t.sum()) for t in state.values()) if touch else 0.0
    seconds, cpu = time.perf_counter() - start, time.process_time() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    own = anonymous() - before
    print(json.dumps({"seconds": seconds, "cpu": cpu, "value": total, "peak": peak, "own": own, "tensors": len(state)}))


torch.set_num_threads(int(sys.argv[1]))
if sys.argv[2] == "write":
    write(*sys.argv[3:])
else:
    read(sys.argv[3], sys.argv[4], sys.argv[5] == "touch")
