// Which pictures come next: a seeded permutation per epoch, cut into global batches, each cut into one slice per rank.
// The position counts pictures consumed by all ranks together, so a run goes on with another number of ranks.
import { expected } from '../util/check.ts';
import { ArgumentError, DataError } from '../util/errors.ts';
import { Draws, permutation, stream } from './random.ts';

export interface SamplerOptions {
  /** Number of pictures in the set. */
  readonly size: number;
  /** Pictures per batch and rank. */
  readonly batch: number;
  readonly seed?: number;
  readonly rank?: number;
  readonly worldSize?: number;
  /** Default true; false goes through the set in its own order. */
  readonly shuffle?: boolean;
  /** Leave out the pictures of an epoch that do not fill a global batch (default true). */
  readonly dropLast?: boolean;
}

/** All that has to be saved: the next batch begins after `samplesConsumed` pictures of `epoch`. */
export interface SamplerState {
  epoch: number;
  samplesConsumed: number;
}

export class Sampler {
  readonly #options: Required<SamplerOptions>;
  #state: SamplerState;
  #order: Uint32Array | undefined;
  #orderEpoch = -1;

  constructor(options: SamplerOptions, state: SamplerState = { epoch: 0, samplesConsumed: 0 }) {
    const { size, batch, seed = 0, rank = 0, worldSize = 1, shuffle = true, dropLast = true } = options;
    if (!Number.isInteger(batch) || batch < 1)
      throw new ArgumentError(expected('Sampler', 'a batch of at least 1', batch));
    if (!(Number.isInteger(rank) && rank >= 0 && rank < worldSize)) {
      throw new ArgumentError(expected('Sampler', `a rank from 0 to ${worldSize - 1}`, rank));
    }
    const least = dropLast ? batch * worldSize : 1;
    if (size < least) {
      throw new DataError(
        expected('data', `at least ${least} pictures, one batch`, size, 'Lower the batch size or add pictures.'),
      );
    }
    this.#options = { size, batch, seed, rank, worldSize, shuffle, dropLast };
    this.#state = { ...state };
  }

  get state(): SamplerState {
    return { ...this.#state };
  }

  /** This rank's share of the next global batch; with dropLast false it may be smaller, even empty, at the end of an epoch. */
  next(): { epoch: number; indices: Uint32Array } {
    const { size, batch, rank, worldSize, dropLast } = this.#options;
    const whole = batch * worldSize;
    const left = size - this.#state.samplesConsumed;
    if (left < (dropLast ? whole : 1)) this.#state = { epoch: this.#state.epoch + 1, samplesConsumed: 0 };
    const { epoch, samplesConsumed: start } = this.#state;
    const end = Math.min(size, start + whole);
    this.#state.samplesConsumed = end;
    const order = this.#orderOf(epoch);
    return {
      epoch,
      indices: order.slice(Math.min(end, start + rank * batch), Math.min(end, start + (rank + 1) * batch)),
    };
  }

  #orderOf(epoch: number): Uint32Array {
    const { size, seed, shuffle } = this.#options;
    if (!this.#order || (shuffle && this.#orderEpoch !== epoch)) {
      this.#order = shuffle
        ? permutation(size, new Draws(stream.order, seed, epoch))
        : Uint32Array.from({ length: size }, (_, i) => i);
      this.#orderEpoch = epoch;
    }
    return this.#order;
  }
}
