import { describe, expect, test } from 'vitest';
import { Generator, randn, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { dataFromVelocity, fromVelocity, scoreFromVelocity, toVelocity, velocityOf } from './convert.ts';
import { gvp, interpolate, linear, type Path, velocityTarget, vp } from './path.ts';

const predictions = ['velocity', 'noise', 'score', 'data'] as const;

describe('predictions', () => {
  for (const path of [linear, gvp, vp]) {
    test.each(predictions)(`${path.name}: a perfect %s prediction is the path's velocity, and back`, (prediction) => {
      tidy(() => {
        const { data, noise, t, x, v } = sample(path);
        const perfect = { velocity: v, noise, data, score: noise.div(path.sigma(t).unsqueeze(1)).neg() }[prediction];
        expect(distance(toVelocity(path, prediction, perfect, x, t), v)).toBeLessThan(1e-9);
        expect(distance(fromVelocity(path, prediction, v, x, t), perfect)).toBeLessThan(1e-9);
      });
    });
  }

  test('on the linear path the data is x - t v and the score -(x + (1 - t) v) / t', () => {
    tidy(() => {
      const [x, v] = [tensor([[3, -1]]), tensor([[0.5, 2]])];
      expect(dataFromVelocity(linear, v, x, 0.5).toNumbers()).toEqual([2.75, -2]);
      expect(scoreFromVelocity(linear, v, x, 0.5).toNumbers()).toEqual([-6.5, -0]);
    });
  });

  test('GVP data is defined at t = 0, where alpha has slope 0', () => {
    tidy(() => expect(dataFromVelocity(gvp, tensor([[7, 7]]), tensor([[3, -1]]), 0).toNumbers()).toEqual([3, -1]));
  });

  test('a wrapped network is asked at the same x and t', () => {
    tidy(() => {
      const velocity = velocityOf(linear, 'data', (x) => x.mul(0));
      expect(velocity(tensor([[2]]), 0.5).item()).toBe(4); // (x - d) / t
    });
  });

  test.each(['noise', 'score', 'data'] as const)('%s predictions are refused at the data end', (prediction) => {
    tidy(() => {
      const at0 = (path: Path) => velocityOf(path, prediction, (x) => x)(tensor([[2]]), 0);
      const refusal = `${prediction} prediction: expected a time above 0, received 0. End the grid above 0`;
      for (const path of [linear, gvp]) expect(() => at0(path)).toThrow(refusal);
      expect(Number.isFinite(at0(vp).item())).toBe(true); // which ends with sigma = 0.007
    });
  });
});

function sample(path: Path) {
  const generator = new Generator(1);
  const [data, noise] = [randn([3, 4], { generator, dtype: 'f64' }), randn([3, 4], { generator, dtype: 'f64' })];
  const t = tensor([0.15, 0.5, 0.9], { dtype: 'f64' });
  return { data, noise, t, x: interpolate(path, data, noise, t), v: velocityTarget(path, data, noise, t) };
}

function distance(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
