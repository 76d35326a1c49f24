// The guard against getting slower: ratios of now beside those last recorded in docs/benchmarks.md for the same dtype and peer.
import type { Row } from './measure.ts';

const NOISE = 0.03; // two runs of one build on a quiet machine differ by this much

interface Recorded {
  ratio: number;
  lower: number;
  upper: number;
}

/** The newest recorded ratio of every work, by name. */
export function recorded(text: string, precision: string, peer: string): Map<string, Recorded> {
  const found = new Map<string, Recorded>();
  for (const section of text.split(/^## /m).slice(1)) {
    const [heading = '', ...lines] = section.split('\n');
    if (!heading.endsWith(`, ${precision}`) || !lines.some((line) => line.includes(` ${peer}.`))) continue;
    for (const line of lines) {
      const [, name = '', , , ratio, quartiles = ''] = line.split('|').map((cell) => cell.trim());
      const [lower, upper] = quartiles.split('-').map(Number);
      if (found.has(name) || !(lower && upper && Number(ratio))) continue;
      found.set(name, { ratio: Number(ratio), lower, upper });
    }
  }
  return found;
}

/** One line for every row that is worse than recorded: by more than 0.03 of the ratio and beyond both spreads. */
export function regressions(rows: readonly Row[], text: string, precision: string, peer: string) {
  const before = recorded(text, precision, peer);
  const pairs = rows.flatMap((row) => {
    const was = before.get(row.name);
    return was ? [{ row, was }] : [];
  });
  const worse = pairs
    .filter(({ row, was }) => row.ratio.median > was.ratio * (1 + NOISE) && row.ratio.lower > was.upper)
    .map(({ row, was }) => `${row.name}: ${row.ratio.median.toFixed(3)} where ${was.ratio.toFixed(3)} is recorded`);
  return { worse, compared: pairs.length };
}
