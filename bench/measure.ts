// The comparison: both sides warm up apart, show that they compute the same, then take turns, A B A B. A pair of samples gives one
// ratio; the median of the ratios is the result, their quartiles say how far to trust it.
import { benchPictures } from './pictures.ts';
import { benchWeights } from './python.ts';
import { type Side, startOurs, startPeer } from './side.ts';
import type { Beside, Work } from './works.ts';

const SAMPLE = 0.5; // seconds of work in a sample, about
const WARM_UP = 1.5; // seconds of each side before anything counts, at least three runs
const TOLERANCE = { fp32: 1e-4, bf16: 1e-2 }; // relative, between what the sides compute in their first run

export interface Row {
  name: string;
  title: string;
  unit: Work['unit'];
  /** Median time of one piece in seconds, and the largest resident set in bytes. */
  ours: { time: number; peak: number };
  peer: { time: number; peak: number; version: string };
  /** Ours / peer: lower is better. */
  ratio: { median: number; lower: number; upper: number };
  /** The same of processor time, for a machine that is not quiet: unlike wall time it does not count waiting for a core. */
  cpu: number;
  memory: number;
  pairs: number;
  /** What both computed in their first run. */
  value: readonly [ours: number, peer: number];
  growth?: { tensors: number; resident: number };
  /** Arithmetic a second, of the most that large matrix products reach here. */
  share?: { flops: number; peak: number };
}

export interface MeasureOptions {
  python: string;
  threads: number;
  pairs: number;
  /** What is run beside ours: eager PyTorch when left out. */
  beside?: Beside;
  /** Hears of every pair. */
  onPair?: (pair: number, ratio: number) => void;
}

export async function measure(
  work: Work,
  { python, threads, pairs, beside = 'eager', onPair }: MeasureOptions,
): Promise<Row> {
  const weights = work.weights && (await benchWeights(python, work.peer, work.weights));
  const folder = work.pictures && (await benchPictures(work.pictures));
  const config = { ...work.config, ...(weights && { weights }), ...(folder && { folder }) };
  const ours = await startOurs(work.ours, config, threads);
  const peer = await startPeer(python, work.peer, { ...config, peer: beside }, threads).catch(async (error) => {
    await ours.stop(); // it would keep us waiting
    throw error;
  });
  try {
    const value = [(await ours.run(work.run, 1)).value, (await peer.run(work.run, 1)).value] as const;
    checkSame(work, value);
    const runs = work.runs ?? Math.max(await warmUp(ours, work), await warmUp(peer, work));
    const growth = work.growth ? await growthOf(ours) : undefined;
    const samples = { ours: [] as number[], peer: [] as number[] };
    const cpu: number[] = [];
    let peaks = [0, 0];
    for (let i = 0; i < pairs; i++) {
      const a = await ours.run(work.run, runs);
      const b = await peer.run(work.run, runs);
      samples.ours.push(mean(a.seconds) / (work.pieces ?? 1));
      samples.peer.push(mean(b.seconds) / (work.pieces ?? 1));
      cpu.push(a.cpu / b.cpu);
      peaks = [a.peak, b.peak];
      onPair?.(i + 1, samples.ours[i]! / samples.peer[i]!);
    }
    const ratios = samples.ours.map((time, i) => time / samples.peer[i]!);
    const [ourPeak = 0, peerPeak = 0] = peaks;
    const time = quantile(samples.ours, 0.5);
    const each = work.training === false ? 2 : 6;
    const flops = work.tokens && ours.ready.parameters && (each * ours.ready.parameters * work.tokens) / time;
    return {
      name: work.name,
      title: work.title,
      unit: work.unit,
      ours: { time, peak: ourPeak },
      peer: { time: quantile(samples.peer, 0.5), peak: peerPeak, version: peer.ready.version },
      ratio: { median: quantile(ratios, 0.5), lower: quantile(ratios, 0.25), upper: quantile(ratios, 0.75) },
      cpu: quantile(cpu, 0.5),
      memory: ourPeak / peerPeak,
      pairs,
      value,
      ...(growth && { growth: await growth() }),
      ...(flops && { share: { flops, peak: (await ours.run('peak', 3)).value } }),
    };
  } finally {
    await Promise.all([ours.stop(), peer.stop()]);
  }
}

function checkSame({ name, config }: Work, [a, b]: readonly [number, number]): void {
  if (Math.abs(a - b) <= TOLERANCE[config.precision ?? 'fp32'] * Math.max(Math.abs(a), Math.abs(b))) return;
  throw new Error(`bench ${name}: expected both sides to compute the same, received ${a} (ours) and ${b} (PyTorch)`);
}

/** Runs for a while and returns how many runs make a sample. */
async function warmUp(side: Side, work: Work): Promise<number> {
  let spent = 0;
  let last = 0;
  for (let runs = 0; spent < WARM_UP || runs < 3; runs++) {
    [last = 0] = (await side.run(work.run, 1)).seconds;
    spent += last;
  }
  return Math.ceil(SAMPLE / last);
}

/** Reads live tensors and resident memory now, and gives what was added when asked again. */
async function growthOf(side: Side): Promise<() => Promise<{ tensors: number; resident: number }>> {
  const read = async () => ({
    tensors: (await side.run('tensors', 1)).value,
    resident: (await side.run('resident', 1)).value,
  });
  const before = await read();
  return async () => {
    const after = await read();
    return { tensors: after.tensors - before.tensors, resident: after.resident - before.resident };
  };
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** The q-quantile, linear between neighbours. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)] ?? 0, sorted[Math.ceil(at)] ?? 0];
  return low + (high - low) * (at - Math.floor(at));
}
