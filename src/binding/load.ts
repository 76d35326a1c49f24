// Finds and loads the addon that the set-up built (build/engine.json names it), once and on first use: loading takes
// 0.2 s, which verbs that need no tensors must not pay. Main thread only: libtorch's static destructors crash in workers.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { EngineError } from '../util/errors.ts';
import type { NativeAddon } from './types.ts';

/** What the set-up wrote down about the engine: scripts/lib/addon.mjs. */
export interface EngineRecord {
  /** The addon, an absolute path in the user cache. */
  addon: string;
  /** The libtorch folder it was built against and loads from. */
  libtorch: string;
  torchVersion: string;
  /** 'LIBTORCH', 'user cache' or 'python3'. */
  how: string;
  compiler: string;
  flags: string[];
}

const remedies =
  "Run 'npm run build' in the package's folder; or fetch libtorch with 'rae engine install'; or name one: LIBTORCH=/path/to/libtorch npm run build.";

/** Same depth from src/binding and from dist/binding. */
const recordFile = fileURLToPath(new URL('../../build/engine.json', import.meta.url));

let loaded: NativeAddon | undefined;

/** The addon's raw functions; tensor/engine.ts wraps them. Throws EngineError with the ways out. */
export function native(): NativeAddon {
  loaded ??= loadAddon(readEngineRecord());
  return loaded;
}

/** The set-up's record. Throws EngineError when there is none. */
export function readEngineRecord(file = recordFile): EngineRecord {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new EngineError(`engine: expected ${file}, received no such file: the engine is not built. ${remedies}`, {
      cause,
    });
  }
  try {
    return JSON.parse(text) as EngineRecord;
  } catch (cause) {
    throw new EngineError(`engine: expected JSON in ${file}, received something else. ${remedies}`, { cause });
  }
}

/** Loads the addon that a record names. */
export function loadAddon(record: EngineRecord): NativeAddon {
  if (!isMainThread) {
    throw new EngineError(
      "engine: expected the process's main thread, received a worker thread. Use a child process: libtorch cannot be unloaded from a worker.",
    );
  }
  if (!existsSync(record.addon)) {
    throw new EngineError(`engine: expected the addon at ${record.addon}, received no such file. ${remedies}`);
  }
  const module = { exports: {} };
  try {
    withShortSpins(() => process.dlopen(module, record.addon));
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
    const where = `built against torch ${record.torchVersion} in ${record.libtorch}`;
    throw new EngineError(`engine: the addon ${record.addon}, ${where}, does not load: ${reason}. ${remedies}`, {
      cause,
    });
  }
  return module.exports as NativeAddon;
}

// How often a thread of libgomp looks for its next piece of work before it sleeps. libgomp's own 300,000 (14 ms) let two threads take
// turns with any other busy process, for every small operator: steps take a hundred times as long. docs/log.md has the measurement.
const SPINS = '30000';

/** Runs `load` with our default where the user has set none: libgomp reads it once, and children of this process keep their own. */
function withShortSpins(load: () => void): void {
  const { env } = process;
  const ours = env.GOMP_SPINCOUNT === undefined && env.OMP_WAIT_POLICY === undefined;
  if (ours) env.GOMP_SPINCOUNT = SPINS;
  try {
    load();
  } finally {
    if (ours) delete env.GOMP_SPINCOUNT;
  }
}
