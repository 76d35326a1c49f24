import { truncNormal_ } from '../../src/nn/init.ts';
import {
  bernoulli,
  call as callOperator,
  Generator,
  linspace,
  rand,
  randint,
  randn,
  randperm,
  type Tensor,
  zeros,
} from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Limits, limitsFor } from './harness.ts';

interface RngCall {
  call: string;
  op: string;
  size?: number[];
  n?: number;
  low?: number;
  high?: number;
  mean?: number;
  std?: number;
  p?: number | string;
}

export function torchRng(entry: Entry, fixture: Fixture): void {
  const { calls, seeds, sizes } = entry.config as {
    calls: Record<string, RngCall[]>;
    seeds: number[];
    sizes: number[];
  };
  const normal = limitsFor(entry.tolerance, 'x');
  const exact: Limits = { exact: true };
  const close = (name: string, actual: Tensor) =>
    expectClose(actual, fixture.get(`outputs/${name}`), /randn|normal/.test(name) ? normal : exact, name);

  for (const [seed, list] of Object.entries(calls)) {
    const generator = new Generator(Number(seed));
    for (const call of list) {
      const drawn = draw(call, generator);
      const stored = fixture.names().find((name) => name.startsWith(`outputs/${call.call}`))!;
      close(stored.slice('outputs/'.length), drawn.dtype === 'bf16' ? drawn.to('f32') : drawn);
    }
  }
  for (const seed of seeds) {
    for (const size of sizes) {
      close(`fresh/seed${seed}/rand-${size}`, rand([size], { generator: new Generator(seed) }));
      close(`fresh/seed${seed}/randn-${size}`, randn([size], { generator: new Generator(seed) }));
    }
    close(`fresh/seed${seed}/randperm-1000`, randperm(1000, { generator: new Generator(seed) }));
  }
}

function draw(call: RngCall, generator: Generator): Tensor {
  const size = call.size ?? [];
  switch (call.op) {
    case 'randn':
      return randn(size, { generator });
    case 'rand':
      return rand(size, { generator });
    case 'randn-float64-f64':
      return randn(size, { generator, dtype: 'f64' });
    case 'rand-float64-f64':
      return rand(size, { generator, dtype: 'f64' });
    case 'randn-bfloat16':
      return randn(size, { generator, dtype: 'bf16' });
    case 'randint':
      return randint(call.low!, call.high!, size, { generator });
    case 'randperm':
      return randperm(call.n!, { generator });
    case 'bernoulli-tensor':
      return bernoulli(linspace(0, 1, call.n!), { generator });
    case 'bernoulli-scalar':
      return callOperator('aten::bernoulli.p', [zeros(size), call.p, generator.id]);
    case 'trunc-normal':
      return truncNormal_(zeros(size), { std: call.std!, generator });
    case 'normal':
      return zeros(size).normal_(call.mean!, call.std!, { generator });
    case 'uniform':
      return zeros(size).uniform_(call.low!, call.high!, { generator });
    default:
      throw new Error(`torch-rng: no operation '${call.op}'`);
  }
}
