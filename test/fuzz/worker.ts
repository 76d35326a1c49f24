// A parser's share of `npm run fuzz`, in a process of its own: worker.ts NAME INPUTS SECONDS SEED PATH. Prints a line of JSON a block of
// inputs, so that the parent knows it is alive; every block has a seed of its own and can be repeated alone.
import { type Figures, fuzz } from './fuzz.ts';
import { parsers } from './parsers.ts';

const BLOCK = 100;
const [name, inputs, seconds, seed, path] = process.argv.slice(2) as [string, string, string, string, string];
const parser = parsers.find((candidate) => candidate.name === name)!;
const total: Figures = { inputs: 0, accepted: 0, slowestMs: 0, largestRise: 0 };
const end = Date.now() + 1000 * Number(seconds);
for (let block = 0; total.inputs < Number(inputs) && Date.now() < end; block++) {
  const runs = Math.min(BLOCK, Number(inputs) - total.inputs);
  const figures = await fuzz(parser, { runs, seed: Number(seed) + block, path, before: total.inputs });
  total.inputs += figures.inputs;
  total.accepted += figures.accepted;
  total.slowestMs = Math.max(total.slowestMs, figures.slowestMs);
  total.largestRise = Math.max(total.largestRise, figures.largestRise);
  console.log(JSON.stringify(total));
}
