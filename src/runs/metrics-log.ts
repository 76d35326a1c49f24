// metrics.jsonl: one JSON object a line, each with its `step`. Written with single appends, so that a kill tears at most the
// last line, which readers skip and a resume cuts off together with the lines after its checkpoint.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { DataError } from '../util/errors.ts';
import { writing } from '../util/storage.ts';

/** `step` and any further figures; numbers that are not finite are stored as null. */
export interface MetricsRecord {
  step: number;
  [name: string]: number | string | boolean | null;
}

/** Append one line. */
export function appendMetrics(path: string, record: MetricsRecord): void {
  writing(path, () => appendFileSync(path, `${JSON.stringify(record)}\n`));
}

/** All complete lines; [] for a missing file. DataError names a broken line that is not the last. */
export function readMetrics(path: string): MetricsRecord[] {
  return completeLines(path).map(({ record }) => record);
}

/** Keep the lines up to and including `lastStep`; drop later ones and a torn end. Rewrites the file only when it must. */
export function cutMetrics(path: string, lastStep: number): void {
  if (!existsSync(path)) return;
  const kept = completeLines(path).filter(({ record }) => record.step <= lastStep);
  const text = kept.map(({ line }) => `${line}\n`).join('');
  if (text !== readFileSync(path, 'utf8')) writeFileAtomic(path, text);
}

function completeLines(path: string): { line: string; record: MetricsRecord }[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop(); // '' after a complete line, otherwise a torn one
  return lines.flatMap((line, i) => {
    const record = parse(line);
    if (record !== undefined) return [{ line, record }];
    if (i === lines.length - 1) return []; // a power cut can tear a block that ends in a newline
    throw new DataError(
      `${path}: expected a JSON object with a numeric step in line ${i + 1}, received '${line.slice(0, 60)}'.`,
    );
  });
}

function parse(line: string): MetricsRecord | undefined {
  try {
    const value = JSON.parse(line) as MetricsRecord;
    return typeof value?.step === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}
