// The training loss: draw noise and a time, look at x_t, and regress the path's velocity (or noise, score, data) there.
// Flow matching (arXiv 2210.02747) as SiT (arXiv 2401.08740) and RAE use it; spec, section 10. Losses come per sample, so that a
// caller can also draw the loss over t.
// Differs from the reference: `likelihood` weights are positive (there they are negative on Linear and GVP, which turns the loss
// around), and refused for velocity prediction (there ignored). `reference: true` repeats its numbers.

import { type Generator, randn, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { interpolate, linear, over, type Path, velocityTarget } from './path.ts';
import { type Prediction, sampleTimes, type TimeOptions, trainingInterval } from './time.ts';

/** none: 1. velocity: the loss that velocity prediction would have. likelihood: the bound of arXiv 2101.09258. */
export type LossWeight = 'none' | 'velocity' | 'likelihood';

/** The network: x_t [B, ...] and t [B] (float32) to a prediction of x's shape. */
export type Predict = (xt: Tensor, t: Tensor) => Tensor;

export interface FlowMatchingOptions extends TimeOptions {
  readonly path?: Path;
  readonly prediction?: Prediction;
  readonly weight?: LossWeight;
  /** Repeats the reference where it is wrong: negative `likelihood` weights, none with velocity prediction. */
  readonly reference?: boolean;
  /** Distance to the ends for predictions other than velocity (`trainingInterval`). */
  readonly eps?: number;
  /** Times [B] after the shift, instead of drawn ones. */
  readonly t?: Tensor;
  /** Noise of data's shape, instead of drawn. */
  readonly noise?: Tensor;
  /** Draws noise, then times, on the CPU; the default generator otherwise. */
  readonly generator?: Generator;
}

export interface FlowMatchingLoss {
  /** Mean square over all but the batch, weighted [B]. Its mean is what to differentiate. */
  readonly loss: Tensor;
  /** The times that were used [B]. */
  readonly t: Tensor;
}

/** Loss of `predict` on latents `data` [B, ...]. */
export function flowMatchingLoss(predict: Predict, data: Tensor, options: FlowMatchingOptions = {}): FlowMatchingLoss {
  const { path = linear, prediction = 'velocity', weight = 'none', reference = false, generator, eps } = options;
  const likelihoods: readonly Prediction[] = reference ? ['noise', 'score', 'velocity'] : ['noise', 'score'];
  if (weight === 'likelihood' && !likelihoods.includes(prediction)) {
    throw new ArgumentError(
      expected('flowMatchingLoss', `loss_weight 'none' or 'velocity' with ${prediction} prediction`, weight),
    );
  }
  const noise = options.noise ?? drawNoise(data, generator);
  const interval = options.interval ?? trainingInterval(path, prediction, eps);
  const t = options.t ?? drawTimes(data, { ...options, interval });
  if (noise.shape.join() !== data.shape.join()) {
    throw new ShapeError(expected('flowMatchingLoss', `noise of data's shape [${data.shape}]`, [...noise.shape]));
  }
  const xt = interpolate(path, data, noise, t);
  const output = predict(xt, t);
  if (output.shape.join() !== data.shape.join()) {
    throw new ShapeError(expected('flowMatchingLoss', `a prediction of shape [${data.shape}]`, [...output.shape]));
  }
  const error = residual(path, prediction, output, { data, noise, t });
  const square = error.square();
  const factor = lossWeight(path, prediction, weight, t);
  const weighted = factor ? over(reference ? factor : factor.abs(), square).mul(square) : square;
  return { loss: weighted.flatten(1, -1).mean(1), t };
}

/** Noise in data's dtype, on its device; drawn on the CPU, so that every device sees the same numbers. */
export function drawNoise(data: Tensor, generator?: Generator): Tensor {
  const dtype = data.dtype === 'f64' ? 'f64' : 'f32';
  const noise = randn(data.shape, generator ? { generator, dtype } : { dtype });
  return noise.dtype === data.dtype && noise.device === data.device
    ? noise
    : noise.to({ dtype: data.dtype, device: data.device });
}

function drawTimes(data: Tensor, options: FlowMatchingOptions): Tensor {
  const t = sampleTimes(data.size(0), options);
  return data.device === 'cpu' ? t : t.to({ device: data.device });
}

function residual(
  path: Path,
  prediction: Prediction,
  output: Tensor,
  { data, noise, t }: { data: Tensor; noise: Tensor; t: Tensor },
): Tensor {
  switch (prediction) {
    case 'velocity':
      return output.sub(velocityTarget(path, data, noise, t));
    case 'noise':
      return output.sub(noise);
    case 'data':
      return output.sub(data);
    case 'score':
      return output.mul(over(path.sigma(t), data)).add(noise); // sigma * score = -noise
  }
}

/** The factor of each sample's squared error [B], or undefined for 1. */
function lossWeight(path: Path, prediction: Prediction, weight: LossWeight, t: Tensor): Tensor | undefined {
  if (weight === 'none' || prediction === 'velocity') return undefined;
  const sigma = path.sigma(t);
  if (prediction === 'data') {
    // v = alpha' d + sigma' (x - alpha d) / sigma, so dv/dd = alpha' - sigma' alpha / sigma: 1 / t^2 on the linear path.
    return path
      .alphaSlope(t)
      .sub(path.sigmaSlope(t).mul(path.alpha(t)).div(sigma))
      .square();
  }
  const drift = path.scoreOde(t)[1];
  return weight === 'velocity' ? drift.div(sigma).square() : drift.div(sigma.square());
}
