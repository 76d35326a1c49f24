// npm run bench [-- NAME... --pairs 7 --threads 2 --precision bf16 --compile --onnx --json --record --check]: ours beside PyTorch, the same model,
// numbers, dtype and threads, each side in its own process, in turns. A NAME picks the works that begin with it; without one all run. Of their
// own, by name alone: `load`, reading files of published size (bench/load.ts; --size XL or S); `startup` (bench/startup.ts); `growth`, cost over
// tokens, width, batch and steps, charts into --out (bench/growth.ts).
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { regressions } from './check.ts';
import { benchGrowth, growthCharts } from './growth.ts';
import { benchLoad, loadTable } from './load.ts';
import { measure, type Row } from './measure.ts';
import { benchPython } from './python.ts';
import { entry, hardware, peerName, record, table } from './report.ts';
import { benchStartup, startTable } from './startup.ts';
import { type Beside, works } from './works.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
    precision: { type: 'string', default: 'fp32' },
    compile: { type: 'boolean', default: false }, // beside torch.compile: the works that can be compiled
    onnx: { type: 'boolean', default: false }, // beside onnxruntime: the works that can be exported
    check: { type: 'boolean', default: false }, // fails where a ratio is worse than the one last recorded, beyond the noise
    json: { type: 'boolean', default: false }, // one JSON object on standard output, the rest on standard error
    size: { type: 'string', default: 'XL' }, // of `load`
    out: { type: 'string', default: 'build/growth' }, // of `growth`: a folder
    record: { type: 'boolean', default: false }, // also an entry in docs/benchmarks.md
  },
});
const say = (line: string) => console.error(line);

interface How {
  threads: number;
  pairs: number;
  precision: 'fp32' | 'bf16';
}

/** Comparisons of another kind than works, by name. */
const comparisons: Record<string, (how: How) => Promise<{ rows: object[]; text: string }>> = {
  load: async (how) => {
    const rows = benchLoad({ ...how, python: await benchPython(say, ['safetensors']), size: values.size, say });
    return { rows, text: loadTable(rows) };
  },
  startup: async (how) => {
    const rows = benchStartup({ ...how, python: await benchPython(say), say });
    return { rows, text: startTable(rows) };
  },
  growth: async (how) => {
    const rows = await benchGrowth({ ...how, python: await benchPython(say), say });
    return { rows, text: growthCharts(rows, values.out) };
  },
};

try {
  await bench();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function bench(): Promise<void> {
  const [pairs, threads] = [Number(values.pairs), Number(values.threads)];
  const { precision } = values;
  if (precision !== 'fp32' && precision !== 'bf16')
    throw new Error(`--precision: expected fp32 or bf16, received ${precision}`);
  if (!(pairs >= 1 && threads >= 1)) throw new Error('--pairs and --threads: expected whole numbers of at least 1');
  if (values.record && pairs < 7) throw new Error(`--record: expected at least 7 pairs, received ${pairs}`);

  const alone = Object.hasOwn(comparisons, positionals[0] ?? '') ? comparisons[positionals[0]!] : undefined;
  if (alone) {
    const { rows, text } = await alone({ threads, pairs, precision });
    say(`\n${hardware(threads)}; medians of ${pairs}`);
    console.log(values.json ? JSON.stringify(rows) : text);
    return;
  }
  const beside = values.onnx ? 'onnx' : values.compile ? 'compile' : 'eager';
  const known = works(precision).filter(({ peers = ['eager'] }) => peers.includes(beside));
  const chosen = known.filter(({ name }) => positionals.length === 0 || positionals.some((p) => name.startsWith(p)));
  if (chosen.length === 0) {
    throw new Error(
      `bench: expected some of ${known.map(({ name }) => name).join(', ')}, received ${positionals.join(' ')}`,
    );
  }

  const exporter = beside === 'onnx' ? ['onnxruntime==1.30.0', 'onnxscript==0.7.2'] : [];
  const packages = [...exporter, ...chosen.flatMap((work) => work.packages ?? [])];
  const python = await benchPython(say, [...new Set(packages)]);
  const rows: Row[] = [];
  for (const work of chosen) {
    say(`${work.name}: ${work.title}`);
    const onPair = (pair: number, ratio: number) => say(`  ${pair}/${pairs}  ${ratio.toFixed(3)}`);
    rows.push(await measure(work, { python, threads, pairs, beside, onPair }));
  }
  say(`\n${hardware(threads)}, ${peerName(beside, rows)}; ratio = ours / peer, ${precision}`);
  (values.json ? say : console.log)(table(rows));
  if (values.json)
    console.log(JSON.stringify({ date: new Date().toISOString(), hardware: hardware(threads), precision, rows }));
  if (values.record) record('docs/benchmarks.md', entry(rows, { threads, precision, beside }));
  if (values.check) check(rows, { precision, beside });
}

function check(rows: readonly Row[], { precision, beside }: { precision: string; beside: Beside }): void {
  const { worse, compared } = regressions(
    rows,
    readFileSync('docs/benchmarks.md', 'utf8'),
    precision,
    peerName(beside).split(' ').at(-1)!,
  );
  for (const line of worse) say(`worse: ${line}`);
  say(`check: ${compared} of ${rows.length} ratios have a recorded one, ${worse.length} are worse beyond the noise`);
  if (worse.length > 0) process.exitCode = 1;
}
