// Results as a table for the terminal, and as a dated entry for docs/benchmarks.md.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { table as columns } from '../src/util/format.ts';
import type { Row } from './measure.ts';
import type { Beside } from './works.ts';

const SCALE = { ns: 1e9, us: 1e6, ms: 1e3 } as const;
const MB = 2 ** 20;

/** Cells of one row, the header first. */
function cells(rows: readonly Row[]): string[][] {
  const header = ['work', 'ours', 'peer', 'ratio', 'quartiles', 'CPU', 'memory', 'ratio'];
  return [header, ...rows.map(rowCells)];
}

function rowCells({ name, unit, ours, peer, ratio, cpu, memory }: Row): string[] {
  const time = (seconds: number) => `${(seconds * SCALE[unit]).toPrecision(4)} ${unit}`;
  const size = (bytes: number) => `${Math.round(bytes / MB)}`;
  return [
    name,
    time(ours.time),
    time(peer.time),
    ratio.median.toFixed(3),
    `${ratio.lower.toFixed(3)}-${ratio.upper.toFixed(3)}`,
    cpu.toFixed(3),
    `${size(ours.peak)} / ${size(peer.peak)} MB`,
    memory.toFixed(2),
  ];
}

/** A table in fixed columns. */
export function table(rows: readonly Row[]): string {
  return [columns(cells(rows)), ...rows.flatMap(growthLine), ...rows.flatMap(shareLine)].join('\n');
}

function growthLine({ name, growth }: Row): string[] {
  if (!growth) return [];
  return [`${name}: ${growth.tensors} tensors and ${(growth.resident / MB).toFixed(1)} MB more after all of its steps`];
}

function shareLine({ name, share }: Row): string[] {
  if (!share) return [];
  const [flops, peak] = [share.flops, share.peak].map((v) => (v / 1e9).toFixed(0));
  return [
    `${name}: ${flops} GFLOPS of the ${peak} of a large matrix product, ${((100 * share.flops) / share.peak).toFixed(0)} %`,
  ];
}

/** What the numbers were measured on, one line. */
export function hardware(threads: number): string {
  const { model } = cpus()[0] ?? { model: 'unknown processor' };
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const extensions = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'].filter((flag) => flags.includes(` ${flag}`));
  return `${model}, ${cpus().length} cores (${threads} threads a side), ${extensions.join(' ') || 'no vector extensions named'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
}

/** A dated section of docs/benchmarks.md. */
export function entry(
  rows: readonly Row[],
  { threads, precision, beside = 'eager' }: { threads: number; precision: string; beside?: Beside },
): string {
  const [head = [], ...body] = cells(rows);
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  return [
    `## ${new Date().toISOString().slice(0, 10)}, ${commit()}, ${precision}`,
    '',
    `${hardware(threads)}, ${peerName(beside, rows)}. ${rows[0]?.pairs ?? 0} pairs a row; ratio = ours / peer.`,
    '',
    line(head),
    line(head.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...body.map(line),
    ...[...rows.flatMap(growthLine), ...rows.flatMap(shareLine)].map((text) => `\n${text}.`),
    '',
  ].join('\n');
}

/** Puts the entry below the title of the file, newest first. */
export function record(file: string, text: string): void {
  const intro =
    '# Benchmarks\n\n`npm run bench -- --record` adds an entry on top. What is measured, and how: bench/works.ts, bench/measure.ts.\n' +
    '`--check` fails where a ratio is worse than the newest one recorded here, `--compile` compares with `torch.compile`, `--onnx` with onnxruntime, `--precision bf16` with autocast.\n';
  const old = existsSync(file) ? readFileSync(file, 'utf8') : intro;
  const at = old.indexOf('\n## ');
  const [before, after] = at < 0 ? [old, ''] : [old.slice(0, at), old.slice(at + 1)];
  writeFileSync(file, `${before.trimEnd()}\n\n${text}${after ? `\n${after}` : ''}`);
}

const PEERS = { eager: 'PyTorch eager', compile: 'PyTorch torch.compile', onnx: 'onnxruntime exported' } as const;

/** What ours was measured beside, with its version: 'PyTorch 2.13.0 eager'. */
export function peerName(beside: Beside, rows: readonly Row[] = []): string {
  const [name, how] = PEERS[beside].split(' ');
  return [name, rows[0]?.peer.version, how].filter(Boolean).join(' ');
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'no commit';
  }
}
