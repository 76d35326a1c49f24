// Velocity, noise, score and data (x) predictions are the same knowledge in four coordinates; these are the maps between them.
// From x = alpha d + sigma n and v = alpha' d + sigma' n:  n = (alpha v - alpha' x) / (alpha sigma' - alpha' sigma),
// d = (sigma' x - sigma v) / (alpha sigma' - alpha' sigma), score = -n / sigma (SiT, arXiv 2401.08740; spec, section 10).
// Differs from the reference: velocity is never divided by alpha', which is 0 at GVP's data end.

import { type Tensor, tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { over, type Path } from './path.ts';
import type { Velocity } from './samplers/walk.ts';
import type { Prediction } from './time.ts';

/** A time for the whole batch, or one for each sample [B]. */
export type Time = number | Tensor;

/**
 * The velocity that belongs to a network's `output` of this kind at `x` [B, ...]. All but velocity need sigma(t) > 0, noise and score
 * alpha(t) > 0 too; a number `t` without that is an ArgumentError, a tensor gives NaN.
 */
export function toVelocity(path: Path, prediction: Prediction, output: Tensor, x: Tensor, t: Time): Tensor {
  if (prediction === 'velocity') return output;
  const time = timeTensor(t, x);
  refuseDataEnd(path, prediction, t);
  const sigma = over(path.sigma(time), x);
  if (prediction === 'data') {
    const noise = x.sub(over(path.alpha(time), x).mul(output)).div(sigma);
    return over(path.alphaSlope(time), x)
      .mul(output)
      .add(over(path.sigmaSlope(time), x).mul(noise));
  }
  const score = prediction === 'score' ? output : output.div(sigma.neg());
  const [a, b] = path.scoreOde(time);
  return over(a, x).mul(x).add(over(b, x).mul(score));
}

/** What a network of this kind would have predicted where the velocity is `v`: the inverse of `toVelocity`. */
export function fromVelocity(path: Path, prediction: Prediction, v: Tensor, x: Tensor, t: Time): Tensor {
  if (prediction === 'velocity') return v;
  const time = timeTensor(t, x);
  if (prediction !== 'data') refuseDataEnd(path, prediction, t);
  const [alpha, sigma] = [over(path.alpha(time), x), over(path.sigma(time), x)];
  const [alphaSlope, sigmaSlope] = [over(path.alphaSlope(time), x), over(path.sigmaSlope(time), x)];
  const determinant = alpha.mul(sigmaSlope).sub(alphaSlope.mul(sigma));
  if (prediction === 'data') return sigmaSlope.mul(x).sub(sigma.mul(v)).div(determinant);
  const noise = alpha.mul(v).sub(alphaSlope.mul(x)).div(determinant);
  return prediction === 'noise' ? noise : noise.div(sigma.neg());
}

/** Score of the velocity `v`: -(x + (1 - t) v) / t on the linear path. */
export function scoreFromVelocity(path: Path, v: Tensor, x: Tensor, t: Time): Tensor {
  return fromVelocity(path, 'score', v, x, t);
}

/** The clean sample that `v` points to: x - t v on the linear path. */
export function dataFromVelocity(path: Path, v: Tensor, x: Tensor, t: Time): Tensor {
  return fromVelocity(path, 'data', v, x, t);
}

/** Turns a network that predicts `prediction` into the velocity that the samplers take. */
export function velocityOf(path: Path, prediction: Prediction, predict: Velocity): Velocity {
  if (prediction === 'velocity') return predict;
  return (x, t) => toVelocity(path, prediction, predict(x, t), x, t);
}

function timeTensor(t: Time, x: Tensor): Tensor {
  return typeof t === 'number' ? tensor([t], { dtype: x.dtype === 'f64' ? 'f64' : 'f32', device: x.device }) : t;
}

function refuseDataEnd(path: Path, prediction: Prediction, t: Time): void {
  if (t !== 0 || path.sigma(tensor([0])).item() > 0) return; // VP keeps some noise to the end
  const next = 'End the grid above 0 (referenceGrid): there the velocity cannot be told from it.';
  throw new ArgumentError(expected(`${prediction} prediction`, 'a time above 0', t, next));
}
