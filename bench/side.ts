// One side of a comparison: a process that serves works by JSON lines (bench/ours/serve.ts says how).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Ready {
  name: string;
  version: string;
  parameters?: number;
}

export interface Answer {
  /** Wall time of every run. */
  seconds: number[];
  /** Processor time of all threads over the runs, seconds. */
  cpu: number;
  /** What the last run computed. */
  value: number;
  /** Largest resident set so far, bytes. */
  peak: number;
}

export interface Side {
  ready: Ready;
  run(work: string, count: number): Promise<Answer>;
  stop(): Promise<void>;
}

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Ours: the sources through tsx, and a thread pool as large as the peer's set of workers. The addon sets the allocator's thresholds itself. */
export function startOurs(script: string, config: object, threads: number): Promise<Side> {
  return startSide(process.execPath, ['--import', 'tsx', `${folder}ours/${script}.ts`], config, threads, {
    UV_THREADPOOL_SIZE: String(threads),
  });
}

/** PyTorch's, with the allocator's thresholds that our addon sets. */
export function startPeer(python: string, script: string, config: object, threads: number): Promise<Side> {
  return startSide(python, [`${folder}peers/${script}.py`], config, threads, {
    MALLOC_MMAP_THRESHOLD_: String(32 * 2 ** 20),
    MALLOC_TRIM_THRESHOLD_: String(512 * 2 ** 20),
    PYTHONDONTWRITEBYTECODE: '1',
  });
}

async function startSide(
  program: string,
  args: readonly string[],
  config: object,
  threads: number,
  environment: NodeJS.ProcessEnv,
): Promise<Side> {
  const child = spawn(program, [...args, JSON.stringify({ ...config, threads })], {
    cwd: `${folder}..`,
    env: { ...process.env, OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads), ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.once('error', () => {});
  child.stdin.on('error', () => {}); // a side that died is reported by what it does not answer
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    if (!done) return JSON.parse(value) as T;
    throw new Error(`bench: ${program} ${args.join(' ')} ended with ${await gone} before it answered`);
  };
  return {
    ready: await next<Ready>(),
    run: (work, count) => {
      child.stdin.write(`${JSON.stringify({ run: work, count })}\n`);
      return next<Answer>();
    },
    stop: async () => {
      child.stdin.end();
      await gone;
    },
  };
}
