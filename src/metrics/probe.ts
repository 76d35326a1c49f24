// Linear classifiers on frozen features, float64 and deterministic: how much of the class a representation holds. `fitRidge` is the closed
// form (least squares on one-hot targets); `fitLogistic` is the multinomial logistic regression, trained on the whole set by accelerated
// gradient steps whose length follows from a bound of the curvature (Boehning 1992), so that there is nothing to tune.

import {
  eye,
  keep,
  linalgEigvalsh,
  linalgSolve,
  oneHot,
  onesLike,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

export interface ProbeOptions {
  /** Number of classes; the largest label + 1 when left out. */
  classes?: number | undefined;
  /** Divide features by their population standard deviation (a constant feature stays as it is). */
  standardise?: boolean | undefined;
}

/** Class scores as an affine map of features: ((x - center) / scale) W + bias. */
export class LinearClassifier {
  readonly center: Tensor; // [D]
  readonly scale: Tensor; // [D]
  readonly weight: Tensor; // [D, K]
  readonly bias: Tensor; // [K]

  /** Takes the tensors over (float64); `dispose` frees them. */
  constructor({ center, scale, weight, bias }: Record<'center' | 'scale' | 'weight' | 'bias', Tensor>) {
    this.center = keep(center);
    this.scale = keep(scale);
    this.weight = keep(weight);
    this.bias = keep(bias);
  }

  /** Scores [N, K] of features [N, D]. */
  scores(features: Tensor): Tensor {
    return tidy(() => features.to('f64').sub(this.center).div(this.scale).matmul(this.weight).add(this.bias));
  }

  /** The class of the highest score of each row, the lowest on ties. */
  predict(features: Tensor): number[] {
    return tidy(() => this.scores(features).argmax(1).toNumbers());
  }

  /** Share of rows assigned their label. */
  accuracy(features: Tensor, labels: readonly number[]): number {
    if (labels.length !== features.size(0))
      throw new ShapeError(expected('accuracy', `one label for each of ${features.size(0)} rows`, labels.length));
    const right = this.predict(features).filter((predicted, i) => predicted === labels[i]);
    return right.length / Math.max(1, labels.length);
  }

  dispose(): void {
    for (const t of [this.center, this.scale, this.weight, this.bias]) t.dispose();
  }
}

/**
 * Ridge classifier of features [N, D]: W = (Z'Z + lambda I)^-1 Z'(Y - mean Y), Z the centred features and Y the labels one-hot.
 * `lambda` is absolute: it does not grow with N.
 */
export function fitRidge(
  features: Tensor,
  labels: readonly number[],
  { lambda = 10, ...options }: ProbeOptions & { lambda?: number } = {},
): LinearClassifier {
  return tidy(() => {
    const { z, y, center, scale } = prepare('fitRidge', features, labels, options);
    const bias = y.mean(0);
    const penalty = eye(z.size(1), { dtype: 'f64', device: z.device }).mul(lambda);
    const weight = linalgSolve(z.t().matmul(z).add(penalty), z.t().matmul(y.sub(bias)));
    return new LinearClassifier({ center, scale, weight, bias });
  });
}

/**
 * Multinomial logistic regression on features [N, D]: mean cross-entropy + (l2 / 2) |W|^2, `steps` of Nesterov's method that starts
 * afresh where the momentum points uphill. The bias is trained as the weight of a constant feature.
 */
export function fitLogistic(
  features: Tensor,
  labels: readonly number[],
  { l2 = 1e-3, steps = 500, standardise = true, classes }: ProbeOptions & { l2?: number; steps?: number } = {},
): LinearClassifier {
  return tidy(() => {
    const { z, y, center, scale } = prepare('fitLogistic', features, labels, { classes, standardise });
    const [N, D] = z.dims(2);
    const K = y.size(1);
    const curvature = Math.max(1, linalgEigvalsh(z.t().matmul(z).div(N)).max().item()) / 2 + l2;
    const start = zeros([D + 1, K], { dtype: 'f64', device: z.device }); // the last row is the bias
    let state = { at: start, ahead: start.clone(), momentum: 1 };
    for (let step = 0; step < steps; step++) {
      const { at, ahead, momentum } = state;
      state = tidy(() => {
        const residual = affine(z, ahead).softmax(1).sub(y).div(N); // [N, K]
        const gradient = zeros([D + 1, K], { dtype: 'f64', device: z.device });
        gradient
          .narrow(0, 0, D)
          .copy_(z.t().matmul(residual))
          .add_(ahead.narrow(0, 0, D), { alpha: l2 });
        gradient.narrow(0, D, 1).copy_(residual.sum(0, { keepdim: true }));
        const next = ahead.sub(gradient, { alpha: 1 / curvature });
        const uphill = gradient.mul(next.sub(at)).sum().item() > 0;
        const following = uphill ? 1 : (1 + Math.sqrt(1 + 4 * momentum ** 2)) / 2;
        const inertia = uphill ? 0 : (momentum - 1) / following;
        return { at: next, ahead: next.add(next.sub(at), { alpha: inertia }), momentum: following };
      });
      at.dispose();
      ahead.dispose();
    }
    return new LinearClassifier({
      center,
      scale,
      weight: state.at.narrow(0, 0, D).clone(),
      bias: state.at.narrow(0, D, 1).flatten().clone(),
    });
  });
}

function affine(z: Tensor, weightAndBias: Tensor): Tensor {
  const D = z.size(1);
  return z.matmul(weightAndBias.narrow(0, 0, D)).add(weightAndBias.narrow(0, D, 1));
}

/** Normalised features [N, D] and one-hot labels [N, K], float64, with the normalisation. */
function prepare(where: string, features: Tensor, labels: readonly number[], { classes, standardise }: ProbeOptions) {
  const [N] = features.dims(2);
  if (labels.length !== N || N === 0)
    throw new ShapeError(expected(where, `one label for each of ${N} rows of features`, labels.length));
  const K = classes ?? labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  const wrong = labels.find((label) => !Number.isInteger(label) || label < 0 || label >= K);
  if (wrong !== undefined) throw new ArgumentError(expected(where, `labels from 0 to ${K - 1}`, wrong));
  const x = features.to('f64');
  const center = x.mean(0);
  const deviation = x.std(0, { correction: 0 });
  const scale = standardise ? deviation.add(deviation.eq(0).to('f64')) : onesLike(center);
  const y = oneHot(tensor(labels, { dtype: 'i64', device: features.device }), K).to('f64');
  return { z: x.sub(center).div(scale), y, center, scale };
}
