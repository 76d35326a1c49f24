// The protocol of a side, the same in bench/peers/serve.py: JSON lines. On start it says { ready, name, version, ... }; for each
// { run, count } on standard input it runs that work `count` times and answers { seconds: [...], cpu, value, peak }.
// `cpu` is the processor time of all threads over the runs; `value` is what the last run computed and must agree between the sides;
// `peak` is the largest resident set so far, in bytes.
import { argv, cpuUsage, resourceUsage, stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline';
import { setThreads, versions } from '../../src/tensor/index.ts';

/** The configuration that the runner gave (JSON, the first argument); threads are set from it. */
export function configuration<T>(): T & { threads: number } {
  const config = JSON.parse(argv[2] ?? '{}') as T & { threads: number };
  setThreads(config.threads);
  return config;
}

/** Answers until standard input ends. `facts` go into the first line. */
export async function serve(works: Record<string, () => number | Promise<number>>, facts: object = {}): Promise<void> {
  const answer = (fields: object) => stdout.write(`${JSON.stringify(fields)}\n`);
  answer({ ready: true, name: 'rae-ts', version: versions().libtorch, ...facts });
  for await (const line of createInterface({ input: stdin })) {
    const { run, count } = JSON.parse(line) as { run: string; count: number };
    const work = works[run];
    if (!work) throw new Error(`bench: expected one of ${Object.keys(works).join(', ')}, received '${run}'`);
    const seconds: number[] = [];
    const before = cpuUsage();
    let value = 0;
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      value = await work();
      seconds.push((performance.now() - start) / 1000);
    }
    const { user, system } = cpuUsage(before);
    answer({ seconds, cpu: (user + system) / 1e6, value, peak: resourceUsage().maxRSS * 1024 });
  }
}
