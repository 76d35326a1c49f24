// How cost grows: one size of the clothing network's training step or of its sampling is varied and the rest kept, on both sides in turns.
// `rae plot table` draws the rows.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from './measure.ts';
import { startOurs, startPeer } from './side.ts';
import { small } from './works.ts';

type Sizes = typeof small & { times?: number };

const AXES: Record<string, { sizes: readonly number[]; run: string; of: (size: number) => Sizes }> = {
  tokens: {
    sizes: [49, 100, 256, 576, 1024],
    run: 'step',
    of: (n) => ({ ...small, batch: 4, inputSize: Math.sqrt(n) }),
  },
  width: { sizes: [96, 192, 384, 768], run: 'step', of: (w) => ({ ...small, batch: 4, hiddenSize: [w, w] }) },
  batch: { sizes: [1, 4, 16, 64], run: 'step', of: (batch) => ({ ...small, batch }) },
  steps: { sizes: [5, 10, 25, 50], run: 'sample', of: (steps) => ({ ...small, batch: 4, times: steps + 1 }) },
};

export interface GrowthRow {
  axis: string;
  size: number;
  side: 'ours' | 'PyTorch';
  /** Medians: wall and processor time of a run, milliseconds. */
  ms: number;
  cpu: number;
  /** Largest resident set in MiB. */
  peak: number;
}

interface GrowthOptions {
  python: string;
  threads: number;
  pairs: number;
  precision: 'fp32' | 'bf16';
  say: (line: string) => void;
}

export async function benchGrowth({ python, threads, pairs, precision, say }: GrowthOptions): Promise<GrowthRow[]> {
  const rows: GrowthRow[] = [];
  for (const [axis, { sizes, run, of }] of Object.entries(AXES))
    for (const size of sizes) {
      const config = { ...of(size), precision };
      for (const side of ['ours', 'PyTorch'] as const) {
        const started =
          side === 'ours' ? startOurs('stage2', config, threads) : startPeer(python, 'ditdh', config, threads);
        const { run: ask, stop } = await started;
        await ask(run, 1);
        const answers = [];
        for (let i = 0; i < pairs; i++) answers.push(await ask(run, 1));
        await stop();
        const median = (seconds: readonly number[]) => 1000 * quantile(seconds, 0.5);
        const ms = median(answers.map(({ seconds: [s = 0] }) => s));
        const cpu = median(answers.map((answer) => answer.cpu));
        rows.push({ axis, size, side, ms, cpu, peak: answers.at(-1)!.peak / 2 ** 20 });
        say(`  ${axis} ${size}, ${side}: ${ms.toFixed(1)} ms`);
      }
    }
  return rows;
}

/** Writes the rows and charts of time and memory over each size into `folder`, and says what is there. */
export function growthCharts(rows: readonly GrowthRow[], folder: string): string {
  mkdirSync(folder, { recursive: true });
  const rae = fileURLToPath(new URL('../bin/rae.mjs', import.meta.url));
  const written = [...new Set(rows.map(({ axis }) => axis))].flatMap((axis) => {
    const table = join(folder, `${axis}.json`);
    writeFileSync(
      table,
      JSON.stringify(rows.filter((row) => row.axis === axis).map((row) => ({ ...row, [axis]: row.size }))),
    );
    return ['ms', 'peak'].map((y) => {
      const out = join(folder, `${axis}-${y}.svg`);
      const logs = y === 'ms' ? ['--log-x', '--log-y'] : ['--log-x'];
      const args = ['plot', 'table', table, '--x', axis, '--y', y, '--by', 'side', '--out', out, ...logs];
      const { status, stderr } = spawnSync(process.execPath, [rae, ...args], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`bench growth: rae ${args.join(' ')} failed:\n${stderr.trim()}`);
      return out;
    });
  });
  return written.join('\n');
}
