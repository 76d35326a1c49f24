// Endless shuffled batches for training, prepared ahead of the compute. The state counts batches handed out, not those
// prepared, and what is in a batch depends on the seed and its place alone: a resumed run sees the same bytes.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { type Batch, BatchReader, type Unreadable } from './batch.ts';
import { Sampler, type SamplerOptions, type SamplerState } from './sampler.ts';
import type { PictureSource } from './source.ts';

export interface LoaderOptions extends Omit<SamplerOptions, 'size'> {
  /** Batches in preparation; default 8, fewer when they are large (512 MiB in all). A picture needs the event loop about six
   * times on its way, and a training loop gives it one turn a step: so many batches keep the thread pool busy. */
  readonly ahead?: number;
  /** Called once for each picture that cannot be read; default: a warning. */
  readonly onUnreadable?: (picture: Unreadable) => void;
}

/** A loader's position, as plain JSON. `pictures` only serves to notice that the set has changed. */
export interface LoaderState extends SamplerState {
  pictures: number;
}

export class Loader {
  readonly source: PictureSource;
  readonly #options: LoaderOptions;
  readonly #reader: BatchReader;
  readonly #ahead: number;
  #sampler: Sampler;
  #queue: { batch: Promise<Batch>; after: SamplerState }[] = [];
  #consumed: SamplerState;

  /** DataError when the set has fewer pictures than one batch. Nothing is read before the first next(). */
  constructor(source: PictureSource, options: LoaderOptions) {
    const { batch, seed = 0, onUnreadable = ({ message }) => log.warn(`${message} Skipped.`) } = options;
    this.source = source;
    this.#options = options;
    this.#reader = new BatchReader(source, { seed, onUnreadable });
    this.#sampler = new Sampler({ ...options, size: source.size });
    this.#consumed = this.#sampler.state;
    const batchBytes = batch * source.side ** 2 * 3;
    this.#ahead = options.ahead ?? Math.min(8, Math.max(2, Math.floor((512 * 2 ** 20) / batchBytes)));
  }

  /** Number of pictures in the set. */
  get size(): number {
    return this.source.size;
  }

  /** How many pictures could not be read so far. */
  get unreadable(): number {
    return this.#reader.unreadable;
  }

  /** The next batch of this rank. DataError when nothing can be read. */
  async next(): Promise<Batch> {
    while (this.#queue.length < this.#ahead) this.#prepare();
    const { batch, after } = this.#queue.shift()!;
    this.#prepare();
    const ready = await batch;
    this.#consumed = after;
    return ready;
  }

  state(): LoaderState {
    return { ...this.#consumed, pictures: this.size };
  }

  /** Goes to a saved position; what was prepared is dropped. ArgumentError for anything but a state. */
  restore(state: unknown): void {
    const { epoch, samplesConsumed, pictures } = checkLoaderState(state);
    warnOfOtherSize(this.source.name, this.size, pictures);
    this.#queue = [];
    this.#consumed = { epoch, samplesConsumed };
    this.#sampler = new Sampler({ ...this.#options, size: this.size }, this.#consumed);
  }

  #prepare(): void {
    const { epoch, indices } = this.#sampler.next();
    const batch = this.#reader.readFull(indices, epoch);
    batch.catch(() => {}); // reported by the next() that asks for it, perhaps never
    this.#queue.push({ batch, after: this.#sampler.state });
  }
}

/** All pictures in order, once, in batches (the last smaller, unreadable ones left out), `ahead` of them in preparation. */
export async function* inOrder(
  source: PictureSource,
  options: { batch: number; seed?: number; ahead?: number; onUnreadable?: (picture: Unreadable) => void },
): AsyncGenerator<Batch> {
  const { batch, ahead = 2, onUnreadable = ({ message }) => log.warn(`${message} Skipped.`), seed = 0 } = options;
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(expected('inOrder', 'a batch of at least 1', batch));
  const reader = new BatchReader(source, { seed, onUnreadable });
  const queue: Promise<Batch>[] = [];
  for (let at = 0; at < source.size || queue.length > 0; ) {
    while (at < source.size && queue.length <= ahead) {
      const indices = Array.from({ length: Math.min(batch, source.size - at) }, (_, i) => at + i);
      const next = reader.readThese(indices);
      next.catch(() => {});
      queue.push(next);
      at += batch;
    }
    const ready = await queue.shift()!;
    if (ready.labels.length > 0) yield ready;
  }
}

/** Says so when a set is not as large as when the position was saved. */
export function warnOfOtherSize(name: string, size: number, then: number): void {
  if (size !== then) log.warn(`${name} has ${size} pictures, it had ${then}: the order differs from here on.`);
}

/** A saved position. ArgumentError for anything else. */
export function checkLoaderState(state: unknown): LoaderState {
  const { epoch, samplesConsumed, pictures } = (state ?? {}) as Partial<LoaderState>;
  const whole = [epoch, samplesConsumed, pictures].every((value) => Number.isSafeInteger(value) && value! >= 0);
  if (!whole) {
    throw new ArgumentError(expected('Loader.restore', '{ epoch, samplesConsumed, pictures }', JSON.stringify(state)));
  }
  return { epoch: epoch!, samplesConsumed: samplesConsumed!, pictures: pictures! };
}
