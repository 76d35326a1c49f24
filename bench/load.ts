// npm run bench -- load [--size XL --pairs 5]: files of a DiT^DH as PyTorch's and safetensors' own writers make them, read by us and by
// them, every reading in a process of its own, in turns. Once until the state dict is ready, once with every number summed. The files
// are in the page cache; `own` is resident memory that no file stands behind. Linux only (RssAnon).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createStage2 } from '../src/models/stage2.ts';
import { skipInit } from '../src/nn/index.ts';
import { table } from '../src/util/format.ts';
import { quantile } from './measure.ts';

const SIZES = {
  XL: { hidden_size: [1152, 2048], depth: [28, 2], num_heads: [16, 16] },
  S: { hidden_size: [384, 2048], depth: [12, 2], num_heads: [6, 16] },
} as const;

/** The readers of each file; the first is what the others are measured against. */
const READERS = {
  safetensors: ['ours mmap', 'safetensors.torch', 'ours copy'],
  pt: ['ours mmap', 'torch.load mmap', 'torch.load', 'ours copy'],
} as const;

interface Reading {
  seconds: number;
  /** Computing, of all threads. */
  cpu: number;
  value: number;
  peak: number;
  own: number;
  tensors: number;
}

export interface LoadRow {
  file: string;
  reader: string;
  touch: boolean;
  /** Median. */
  seconds: number;
  /** Median of the ratios ours mmap / this reader, in the same round. */
  ratio: number;
  /** The same of the seconds of computing, which a busy machine changes less. */
  cpuRatio: number;
  peak: number;
  own: number;
}

interface LoadOptions {
  python: string;
  threads: number;
  pairs: number;
  size: string;
  say: (line: string) => void;
}

/** Writes the files, measures, removes them. */
export function benchLoad({ python, threads, pairs, size, say }: LoadOptions): LoadRow[] {
  const sizes = Object.hasOwn(SIZES, size) ? SIZES[size as keyof typeof SIZES] : undefined;
  if (sizes === undefined)
    throw new Error(`bench load --size: expected one of ${Object.keys(SIZES).join(', ')}, received ${size}`);
  const folder = mkdtempSync(join(tmpdir(), 'rae-bench-load-'));
  try {
    const files = writeFiles(folder, sizes, { python, threads });
    for (const path of Object.values(files)) say(`  ${path}: ${(statSync(path).size / 1e9).toFixed(2)} GB`);
    const rows: LoadRow[] = [];
    for (const touch of [false, true])
      for (const file of ['safetensors', 'pt'] as const)
        rows.push(...compare(file, files[file], { python, threads, pairs, touch, say }));
    return rows;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function writeFiles(folder: string, sizes: object, { python, threads }: { python: string; threads: number }) {
  const params = { input_size: 16, in_channels: 768, num_classes: 1000, ...sizes };
  const model = skipInit(() => createStage2({ target: 'DiTwDDTHead', params }));
  const shapes = [...model.stateDict()].map(([name, t]) => [name, t.shape]);
  model.dispose();
  const bytes = shapes.reduce((sum, [, shape]) => sum + 4 * (shape as number[]).reduce((a, b) => a * b, 1), 0);
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < 2.2 * bytes) throw new Error(`bench load: expected ${2.2 * bytes} free bytes in ${folder}`);
  const files = { pt: join(folder, 'model.pt'), safetensors: join(folder, 'model.safetensors') };
  writeFileSync(join(folder, 'shapes.json'), JSON.stringify(shapes));
  child(python, [
    script('peers/load.py'),
    String(threads),
    'write',
    join(folder, 'shapes.json'),
    files.pt,
    files.safetensors,
  ]);
  return files;
}

function compare(
  file: keyof typeof READERS,
  path: string,
  { python, threads, pairs, touch, say }: Omit<LoadOptions, 'size'> & { touch: boolean },
): LoadRow[] {
  const readers = READERS[file];
  const readings = new Map<string, Reading[]>(readers.map((reader) => [reader, []]));
  for (let round = 0; round < pairs; round++)
    for (const reader of readers) {
      const args = [String(threads), reader, path, touch ? 'touch' : 'ready'];
      const text = reader.startsWith('ours')
        ? child(process.execPath, ['--import', 'tsx', script('ours/load.ts'), ...args])
        : child(python, [script('peers/load.py'), String(threads), 'read', ...args.slice(1)]);
      readings.get(reader)!.push(JSON.parse(text) as Reading);
      say(
        `  ${file}, ${touch ? 'every byte' : 'ready'}, ${reader}: ${readings.get(reader)!.at(-1)!.seconds.toFixed(4)} s`,
      );
    }
  const ours = readings.get('ours mmap')!;
  return readers.map((reader) => {
    const mine = readings.get(reader)!;
    if (
      mine[0]!.tensors !== ours[0]!.tensors ||
      Math.abs(mine[0]!.value - ours[0]!.value) > 1e-3 * Math.abs(ours[0]!.value) + 1
    )
      throw new Error(`bench load: expected ${reader} to read what ours does, received other sums`);
    const median = (of: (reading: Reading, i: number) => number) => quantile(mine.map(of), 0.5);
    return {
      file,
      reader,
      touch,
      seconds: median(({ seconds }) => seconds),
      ratio: median(({ seconds }, i) => ours[i]!.seconds / seconds),
      cpuRatio: median(({ cpu }, i) => ours[i]!.cpu / cpu),
      peak: Math.max(...mine.map(({ peak }) => peak)),
      own: Math.max(...mine.map(({ own }) => own)),
    };
  });
}

/** The rows in fixed columns. */
export function loadTable(rows: readonly LoadRow[]): string {
  const mb = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MB`;
  const cells = rows.map(({ file, reader, touch, seconds, ratio, cpuRatio, peak, own }) => [
    file,
    touch ? 'every byte' : 'ready',
    reader,
    `${seconds.toFixed(4)} s`,
    ratio.toFixed(3),
    cpuRatio.toFixed(3),
    mb(peak),
    mb(own),
  ]);
  return table([['file', 'until', 'reader', 'time', 'ours mmap /', 'of CPU time', 'peak', 'own'], ...cells]);
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function child(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  if (status !== 0)
    throw new Error(`bench load: ${program} ${args[0]} failed:\n${stderr.trim().split('\n').slice(-4).join('\n')}`);
  return stdout;
}
