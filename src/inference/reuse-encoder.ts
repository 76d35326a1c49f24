// The encoder branch of DiT^DH run at every n-th evaluation only: its output s changes slowly along a sample, and the head, which sees the
// current latent, does the rest. The reference's forward takes an s too ("cache hook") and never gets one. How much it changes the
// samples is measured in docs/sampling.md.

import { DiTwDDTHead } from '../models/dit-dh.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { keep, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

/** What the samplers need of a network; dispose it after a batch. */
export interface Network {
  forward(x: Tensor, t: Tensor, y: Tensor): Tensor;
  dispose?: () => void;
}

/**
 * `model` with s computed at evaluations 1, 1 + every, 1 + 2 every, ..., and anew whenever the batch has another size, as where guidance
 * begins and ends. ConfigError for a model without such an encoder.
 */
export function reusedEncoder(model: Stage2Model, every = 1): Network {
  if (every === 1) return { forward: (x, t, y) => model.forward(x, t, y) };
  if (!(model instanceof DiTwDDTHead)) {
    const next = 'Only its encoder has an output of its own: leave the option out.';
    throw new ConfigError(expected('--reuse-encoder', 'a DiT^DH (DiTwDDTHead)', model.constructor.name, next));
  }
  let s: Tensor | undefined;
  let uses = 0;
  return {
    forward(x, t, y) {
      if (s === undefined || uses === every || s.size(0) !== x.size(0)) {
        s?.dispose();
        s = keep(model.forwardEncoder(x, t, y));
        uses = 0;
      }
      uses++;
      return model.forward(x, t, y, { s });
    },
    dispose: () => s?.dispose(),
  };
}
