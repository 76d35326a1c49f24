// 1-D convolutions of the discriminator's heads over tokens [B, C, N], with circular padding that keeps N, and spectral normalisation in the
// manner of PyTorch's older, hook-based spectral_norm: `weight_orig` is trained, `weight_u` and `weight_v` are its running singular vectors,
// improved by one power iteration per forward pass in training mode.

import { buffer, type InitOptions, init, Module, type Parameter, parameter } from '../../nn/index.ts';
import { autocast, conv1d, empty, noGrad, pad, type Tensor, tidy } from '../../tensor/index.ts';

const EPS = 1e-12;

export interface HeadConvOptions extends InitOptions {
  inputs: number;
  outputs: number;
  /** Odd. */
  kernel: number;
}

export class HeadConv extends Module {
  readonly weight: Parameter; // [outputs, inputs, kernel]
  readonly bias: Parameter; // [outputs]

  constructor({ inputs, outputs, kernel, generator }: HeadConvOptions) {
    super();
    this.weight = parameter(empty([outputs, inputs, kernel]));
    this.bias = parameter(empty([outputs]));
    init.defaultInit_(this.weight, this.bias, { generator });
  }

  forward(x: Tensor): Tensor {
    return circularConv(x, this.weight, this.bias); // [B, outputs, N]
  }
}

export interface SpectralOptions {
  /** Do one power iteration first; in training mode unless said otherwise. Micro-batches of one pass share one. */
  iterate?: boolean | undefined;
}

export class SpectralConv extends Module {
  readonly bias: Parameter; // [outputs]
  readonly weight_orig: Parameter; // [outputs, inputs, kernel]
  readonly weight_u: Tensor; // [outputs]
  readonly weight_v: Tensor; // [inputs * kernel]

  constructor({ inputs, outputs, kernel, generator }: HeadConvOptions) {
    super();
    this.bias = parameter(empty([outputs]));
    this.weight_orig = parameter(empty([outputs, inputs, kernel]));
    init.defaultInit_(this.weight_orig, this.bias, { generator });
    this.weight_u = buffer(unitVector(outputs, { generator }));
    this.weight_v = buffer(unitVector(inputs * kernel, { generator }));
  }

  forward(x: Tensor, { iterate = this.training }: SpectralOptions = {}): Tensor {
    if (iterate) this.iterate();
    return circularConv(x, this.weight(), this.bias); // [B, outputs, N]
  }

  /** weight_orig / sigma, sigma = u'Wv with u and v constant for the gradient, in float32 also under autocast. */
  weight(): Tensor {
    return tidy(() =>
      autocast({ enabled: false }, () => {
        // Copies: the next power iteration writes u and v in place, while this pass still waits for its backward.
        const [u, v] = [this.weight_u.clone(), this.weight_v.clone()];
        return this.weight_orig.div(u.dot(this.weight_orig.flatten(1).matmul(v)));
      }),
    );
  }

  /** v <- W'u / |W'u|, u <- Wv / |Wv|, in place. */
  iterate(): void {
    noGrad(() =>
      tidy(() =>
        autocast({ enabled: false }, () => {
          const W = this.weight_orig.flatten(1); // [outputs, inputs * kernel]
          this.weight_v.copy_(unit(W.t().matmul(this.weight_u)));
          this.weight_u.copy_(unit(W.matmul(this.weight_v)));
        }),
      ),
    );
  }
}

function circularConv(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const side = Math.floor(weight.size(2) / 2);
  return tidy(() => conv1d(side > 0 ? pad(x, [side, side], 'circular') : x, weight, bias));
}

function unitVector(length: number, { generator }: InitOptions): Tensor {
  return tidy(() => unit(init.normal_(empty([length]), { generator })));
}

function unit(x: Tensor): Tensor {
  return x.div(x.linalgVectorNorm(2).clamp(EPS));
}
