// Our side of bench/load.ts: reads a file of tensors, mapped or copied, in a process of its own.
import { readFileSync } from 'node:fs';
import { argv, cpuUsage, resourceUsage } from 'node:process';
import { loadTensorFile } from '../../src/io/tensor-file.ts';
import { ones, setThreads } from '../../src/tensor/index.ts';

const [threads, method, path, touch] = argv.slice(2) as [string, string, string, string];
setThreads(Number(threads));
ones([1]).sum().item(); // the engine is loaded, as `import torch` has been on the other side
const before = anonymous();
const [start, clock] = [performance.now(), cpuUsage()];
const state = loadTensorFile(path, { mmap: method === 'ours mmap' });
let value = 0;
if (touch === 'touch') for (const t of state.values()) value += t.sum().item();
const seconds = (performance.now() - start) / 1000;
const { user, system } = cpuUsage(clock);
const cpu = (user + system) / 1e6;
const peak = resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ seconds, cpu, value, peak, own: anonymous() - before, tensors: state.size }));

/** Resident memory that no file stands behind, in bytes. */
function anonymous(): number {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) * 1024;
}
