import { expect, it } from 'vitest';
import { Generator, manualSeed, rand, randint, randn, randperm } from './index.ts';

it('draws the numbers PyTorch draws after torch.manual_seed', () => {
  manualSeed(0);
  const first = randn([3]).toNumbers(); // torch 2.13: tensor([ 1.5410, -0.2934, -2.1788])
  expect(first.map((v) => Number(v.toFixed(4)))).toEqual([1.541, -0.2934, -2.1788]);
});

it('repeats every draw after its state is restored', () => {
  const g = new Generator(7);
  randn([5], { generator: g });
  const state = g.getState();
  const draw = () => [
    ...randn([3], { generator: g }).toNumbers(),
    ...rand([20], { generator: g }).toNumbers(),
    ...randint(0, 100, [4], { generator: g }).toNumbers(),
    ...randperm(6, { generator: g }).toNumbers(),
  ];
  const a = draw();
  g.setState(state);
  expect(draw()).toEqual(a);
});

it('keeps generators apart from each other and from the default one', () => {
  const a = new Generator(1);
  const b = new Generator(1);
  randn([100]);
  randn([100], { generator: a });
  a.seed(1);
  expect(randn([4], { generator: a }).toNumbers()).toEqual(randn([4], { generator: b }).toNumbers());
});
