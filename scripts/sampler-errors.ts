// Error of every fixed-step sampler against its number of steps, on two fields whose flow is known: the table of docs/sampling.md.
//   npx tsx scripts/sampler-errors.ts [SHIFT]       (default 1: equal steps)

import {
  adaptiveSamplers,
  gaussianOracle,
  logisticOracle,
  type Oracle,
  referenceGrid,
  sampleOde,
  samplers,
} from '../src/diffusion/index.ts';
import { tensor, tidy } from '../src/tensor/index.ts';

const STEPS = [10, 20, 40, 80];
const f64 = { dtype: 'f64' } as const;
const shift = Number(process.argv[2] ?? 1);
const fields: [name: string, oracle: Oracle, start: number[]][] = [
  [
    'Gaussian',
    gaussianOracle(tensor([0.5, -1, 0.2], f64), tensor([1.5, 0.4, 0.9], f64)),
    [1.5, -0.7, 0.3, 0.2, 2.5, -1.9],
  ],
  ['logistic', logisticOracle, [0.9, 0.5, 0.03, 0.2, 0.75, 0.37]],
];

/** Largest error of any number at the end of the grid. */
function error(name: keyof typeof samplers, oracle: Oracle, start: readonly number[], steps: number): number {
  const times = referenceGrid(steps + 1, { shift });
  return tidy(() => {
    const { x } = sampleOde(name, oracle.velocity, tensor([...start], { ...f64, shape: [2, 3] }), { times });
    const wanted = oracle.solution(tensor([...start], { ...f64, shape: [2, 3] }), times.at(-1)!);
    return x.sub(wanted).abs().max().item();
  });
}

console.log(`| field | sampler | ${STEPS.join(' | ')} steps | order |`);
console.log(`| --- | --- | ${STEPS.map(() => '---:').join(' | ')} | ---: |`);
for (const [field, oracle, start] of fields) {
  for (const name of Object.keys(samplers) as (keyof typeof samplers)[]) {
    if (adaptiveSamplers.includes(name)) continue;
    const errors = STEPS.map((steps) => error(name, oracle, start, steps));
    const order = Math.log2(errors.at(-2)! / errors.at(-1)!);
    console.log(
      `| ${field} | \`${name}\` | ${errors.map((e) => e.toExponential(1)).join(' | ')} | ${order.toFixed(1)} |`,
    );
  }
}
