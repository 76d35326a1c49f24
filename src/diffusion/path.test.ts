import { describe, expect, test } from 'vitest';
import { tensor, tidy } from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import { gvp, interpolate, linear, type Path, pathNamed, paths, velocityTarget, vp } from './path.ts';

const data = () => tensor([[1, 2, -3]]);
const noise = () => tensor([[0.5, -1, 4]]);

describe('paths', () => {
  test('the linear target is noise - data at every time', () => {
    tidy(() => {
      for (const t of [0, 0.3, 1])
        expect(velocityTarget(linear, data(), noise(), tensor([t])).toNumbers()).toEqual([-0.5, -3, 7]);
    });
  });

  test.each([linear, gvp])('$name is data at 0 and noise at 1', (path: Path) => {
    tidy(() => {
      close(interpolate(path, data(), noise(), tensor([0])).toNumbers(), data().toNumbers());
      close(interpolate(path, data(), noise(), tensor([1])).toNumbers(), noise().toNumbers());
    });
  });

  test.each(Object.values(paths))('the slopes of $name are the derivatives of alpha and sigma', (path: Path) => {
    tidy(() => {
      const h = 1e-5;
      const at = (t: number) => tensor([t], { dtype: 'f64' });
      for (const t of [0.1, 0.5, 0.8]) {
        const slope = (f: (t: ReturnType<typeof at>) => ReturnType<typeof at>) =>
          (f(at(t + h)).item() - f(at(t - h)).item()) / (2 * h);
        expect(path.alphaSlope(at(t)).item()).toBeCloseTo(slope(path.alpha), 7);
        expect(path.sigmaSlope(at(t)).item()).toBeCloseTo(slope(path.sigma), 7);
        expect(path.logAlphaSlope(at(t)).item()).toBeCloseTo(
          slope((u) => path.alpha(u).log()),
          6,
        );
      }
    });
  });

  test('the configuration may write Linear, GVP and VP', () => {
    expect(['Linear', 'GVP', 'VP'].map((name) => pathNamed(name).name)).toEqual(['linear', 'gvp', 'vp']);
    expect(pathNamed('VP')).toBe(vp);
  });

  test('an unknown path lists the known ones and the nearest', () => {
    expect(() => pathNamed('liner')).toThrow(ArgumentError);
    expect(() => pathNamed('liner')).toThrow(
      "expected one of linear, gvp, vp, vp-reference, received 'liner'. Did you mean 'linear'?",
    );
  });
});

function close(got: number[], want: number[]): void {
  for (const [i, value] of want.entries()) expect(got[i]).toBeCloseTo(value, 6);
}
