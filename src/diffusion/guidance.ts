// Guidance: a velocity pushed away from a worse one. Classifier-free (arXiv 2207.12598): u + w (c - u), u from the null label;
// autoguidance (arXiv 2406.02507): g + w (c - g), g from a weaker network that sees the same label. Both at once add their pushes.
// Only inside an interval of t (arXiv 2404.07724), both ends included; outside it is the plain velocity (spec, section 9).
// Differs from the reference: nothing is computed to be thrown away. Its doubled batch (the null half computed outside the interval
// and for autoguidance too) gives the same numbers, except that under adaptive methods the discarded half of autoguidance enters
// the error norm; `doubledVelocity` repeats it.

import { cat, full, type Tensor, tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { over } from './path.ts';
import type { Velocity } from './samplers/walk.ts';
import type { Interval } from './time.ts';

/** A network: the velocity at `x` [B, ...] and `t` for `labels` [B] (i64). */
export type LabelledVelocity = (x: Tensor, t: number, labels: Tensor) => Tensor;

export interface GuidanceTerm {
  /** At least 1, which is no guidance. A list gives the scale of each class. */
  readonly scale: number | readonly number[];
  /** Of t, after the shift; [0, 1] by default. */
  readonly interval?: Interval;
}

export interface Guidance {
  readonly cfg?: GuidanceTerm & { readonly nullLabel: number };
  readonly auto?: GuidanceTerm & { readonly guide: LabelledVelocity };
}

/**
 * The guided velocity of `model` for `labels` [B]. Without terms it is the plain one. The few small tensors it holds belong to the
 * scope that it is made in.
 */
export function guidedVelocity(model: LabelledVelocity, labels: Tensor, { cfg, auto }: Guidance = {}): Velocity {
  const cfgWeight = cfg && weightOf('cfg', cfg, labels);
  const autoWeight = auto && weightOf('autoguidance', auto, labels);
  const bothLabels = cfg && cfgWeight ? cat([labels, nullLabels(labels, cfg.nullLabel)], 0) : undefined;
  return (x, t) => {
    const withNull = cfgWeight && bothLabels && inInterval(t, cfg.interval) ? cfgWeight : undefined;
    const withGuide = autoWeight && inInterval(t, auto.interval) ? autoWeight : undefined;
    const [main, unconditional] =
      withNull && bothLabels
        ? (model(cat([x, x], 0), t, bothLabels).chunk(2, 0) as [Tensor, Tensor])
        : [model(x, t, labels)];
    const weaker = withGuide && auto ? auto.guide(x, t, labels) : undefined;
    if (unconditional && weaker) {
      const pushed = main.add(scaled(main.sub(unconditional), withNull!, -1));
      return pushed.add(scaled(main.sub(weaker), withGuide!, -1));
    }
    if (unconditional) return unconditional.add(scaled(main.sub(unconditional), withNull!));
    return weaker ? weaker.add(scaled(main.sub(weaker), withGuide!)) : main;
  };
}

/**
 * The reference's way, for a doubled state: `x` [2B, ...] starts as cat(z, z), and the result's first half counts.
 * `cfg` sees the first half twice and returns the guided value twice; `auto` runs both networks on all rows, the second half under
 * the null label.
 */
export function doubledVelocity(model: LabelledVelocity, labels: Tensor, { cfg, auto, nullLabel }: Doubled): Velocity {
  if (!cfg === !auto)
    throw new ArgumentError(expected('doubledVelocity', 'either cfg or auto', cfg ? 'both' : 'neither'));
  const bothLabels = cat([labels, nullLabels(labels, nullLabel)], 0);
  if (cfg) {
    const weight = weightOf('cfg', cfg, labels);
    return (x, t) => {
      const half = x.chunk(2, 0)[0]!;
      const [main, unconditional] = model(cat([half, half], 0), t, bothLabels).chunk(2, 0) as [Tensor, Tensor];
      const on = weight && inInterval(t, cfg.interval);
      const result = on ? unconditional.add(scaled(main.sub(unconditional), weight)) : main;
      return cat([result, result], 0);
    };
  }
  const { guide, interval } = auto!;
  const weight = weightOf('autoguidance', auto!, bothLabels);
  return (x, t) => {
    const main = model(x, t, bothLabels);
    const on = weight && inInterval(t, interval);
    const weaker = guide(x, t, bothLabels);
    return on ? weaker.add(scaled(main.sub(weaker), weight)) : main;
  };
}

export interface Doubled {
  readonly cfg?: GuidanceTerm & { readonly scale: number };
  readonly auto?: GuidanceTerm & { readonly scale: number; readonly guide: LabelledVelocity };
  readonly nullLabel: number;
}

/** Whether guidance acts at `t`: both ends included, all three compared as float32. */
export function inInterval(t: number, [low, high]: Interval = [0, 1]): boolean {
  const f = Math.fround;
  return f(low) <= f(t) && f(t) <= f(high);
}

/** Refuses a term that cannot be meant: a scale below 1, a reversed or empty interval. `where` names it in the message. */
export function checkGuidance(where: string, { scale, interval = [0, 1] }: GuidanceTerm): void {
  const scales = typeof scale === 'number' ? [scale] : scale;
  const bad = scales.find((w) => !(Number.isFinite(w) && w >= 1));
  if (bad !== undefined || scales.length === 0) {
    const next = '1 is no guidance; larger values push harder.';
    throw new ArgumentError(expected(`${where} scale`, 'a number of at least 1', bad, next));
  }
  const [low, high] = interval;
  if (!(Number.isFinite(low) && Number.isFinite(high) && low < high)) {
    throw new ArgumentError(
      expected(`${where} interval`, 't_min < t_max', [...interval], 't = 1 is noise, t = 0 data.'),
    );
  }
}

type Weight = number | Tensor;

/** The scale as a number, or one for each label [B]; undefined where it is 1 for all. */
function weightOf(where: string, term: GuidanceTerm, labels: Tensor): Weight | undefined {
  checkGuidance(where, term);
  const { scale } = term;
  if (typeof scale === 'number') return scale === 1 ? undefined : scale;
  const scales = labels.toNumbers().map((label) => {
    const found = scale[label];
    if (found !== undefined) return found;
    throw new ArgumentError(
      expected(`${where} scale`, `a list with one scale for every class, label ${label} too`, `${scale.length} scales`),
    );
  });
  return scales.every((w) => w === 1) ? undefined : tensor(scales, { device: labels.device });
}

function scaled(difference: Tensor, weight: Weight, plus = 0): Tensor {
  if (typeof weight === 'number') return difference.mul(weight + plus);
  return difference.mul(over(plus === 0 ? weight : weight.add(plus), difference));
}

function nullLabels(labels: Tensor, nullLabel: number): Tensor {
  return full([labels.size(0)], nullLabel, { dtype: labels.dtype, device: labels.device });
}
