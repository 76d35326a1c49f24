// Class labels, with label dropout for classifier-free guidance (DiT; spec 8.1).

import { Embedding, init, Module } from '../../nn/index.ts';
import { type Generator, rand, type Tensor, where } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';

export interface LabelDropout {
  /** Which labels become the null label, [B], bool. Without it, training mode draws it and evaluation mode drops nothing. */
  dropMask?: Tensor | undefined;
  /** Where training mode draws the mask from; the process's default generator otherwise. */
  generator?: Generator | undefined;
}

export interface LabelEmbedderOptions {
  width: number;
  numClasses: number;
  /** With 0 the table has no row for the null label. */
  dropProbability: number;
  generator?: Generator | undefined;
}

export class LabelEmbedder extends Module {
  readonly embedding_table: Embedding; // [num_classes + 1 or num_classes, D]
  readonly numClasses: number;
  readonly dropProbability: number;

  constructor({ width, numClasses, dropProbability, generator }: LabelEmbedderOptions) {
    super();
    this.numClasses = numClasses;
    this.dropProbability = dropProbability;
    this.embedding_table = new Embedding(numClasses + (dropProbability > 0 ? 1 : 0), width, { generator });
    init.normal_(this.embedding_table.weight, { std: 0.02, generator }); // DiT
  }

  /** None where there are no classes: an unconditional model. */
  static orNone(options: LabelEmbedderOptions): LabelEmbedder | undefined {
    return options.numClasses === 0 ? undefined : new LabelEmbedder(options);
  }

  /** The id of "no class", which only a table with label dropout has. */
  get nullLabel(): number | undefined {
    return this.dropProbability > 0 ? this.numClasses : undefined;
  }

  /** labels [B] int64 -> [B, D]. A label is dropped where uniform < probability, strictly. */
  forward(labels: Tensor, { dropMask, generator }: LabelDropout = {}): Tensor {
    return this.embedding_table.forward(this.#dropped(labels, dropMask, generator));
  }

  #dropped(labels: Tensor, dropMask: Tensor | undefined, generator: Generator | undefined): Tensor {
    if (this.nullLabel === undefined) {
      if (dropMask) {
        throw new ArgumentError(
          expected(
            'LabelEmbedder',
            'no dropMask, for it has no null label',
            dropMask.toString(),
            'Build it with class_dropout_prob > 0.',
          ),
        );
      }
      return labels;
    }
    const drawn = this.training && !dropMask;
    const mask = drawn ? rand(labels.dims(1), generator ? { generator } : {}).lt(this.dropProbability) : dropMask; // on the CPU: the same on every device
    if (!mask) return labels;
    return where(mask.to({ dtype: 'bool', device: labels.device }), this.nullLabel, labels);
  }
}
