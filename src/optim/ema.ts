// Exponential moving average of a module's parameters: ema <- d * ema + (1 - d) * p after every optimiser step (spec 7, 12).
// It starts as a copy. All of it in one foreach kernel, or on AdamW's way through the parameters.

import { checkKeys, copyStateDict, type Module, parameter, type StateDict, slotsOf } from '../nn/index.ts';
import { canFuseAll, foreach, noGrad, type Tensor } from '../tensor/index.ts';
import { afterwards } from '../util/afterwards.ts';

/** A constant, or a function of the update's number from 0. */
export type EmaDecay = number | ((n: number) => number);

/** The decay of short runs: min(limit, (1 + n) / (10 + n)), which forgets the random start quickly. */
export function warmDecay(limit: number): (n: number) => number {
  return (n) => Math.min(limit, (1 + n) / (10 + n));
}

export class Ema {
  readonly #module: Module;
  readonly #decay: EmaDecay;
  readonly #shadows: ReadonlyMap<string, Tensor>;
  readonly #params: ReadonlyMap<string, Tensor>;
  readonly #shadowOf: ReadonlyMap<Tensor, Tensor>;

  /** Averages the parameters of `module` that are trainable now; frozen ones equal their average. */
  constructor(module: Module, { decay }: { decay: EmaDecay }) {
    this.#module = module;
    this.#decay = decay;
    this.#params = new Map(module.namedParameters().filter(([, p]) => p.requiresGrad));
    this.#shadows = new Map(
      [...this.#params].map(([name, p]) => [
        name,
        noGrad(() => parameter(p.detach().clone(), { requiresGrad: false })),
      ]),
    );
    this.#shadowOf = new Map([...this.#params].map(([name, p]) => [p, this.#shadows.get(name)!]));
  }

  /** The decay of update `n`. */
  decayAt(n: number): number {
    return typeof this.#decay === 'number' ? this.#decay : this.#decay(n);
  }

  /** Takes the parameters in; `n` counts updates from 0 (the training step). `except`: those that AdamW has averaged on its way. */
  update(n: number, { except }: { except?: ReadonlySet<Tensor> } = {}): void {
    const pairs = [...this.#shadowOf].filter(([p]) => !except?.has(p));
    if (pairs.length === 0) return;
    const [params, shadows] = [pairs.map(([p]) => p), pairs.map(([, shadow]) => shadow)];
    noGrad(() => foreach.lerp_(shadows, params, 1 - this.decayAt(n)));
  }

  /** The averages of `params`, in their order; undefined when one of them is not averaged in float32 on the CPU. */
  shadowsOf(params: readonly Tensor[]): Tensor[] | undefined {
    const shadows = params.flatMap((p) => this.#shadowOf.get(p) ?? []);
    return shadows.length === params.length && canFuseAll(shadows) ? shadows : undefined;
  }

  /** The averaged model: the module's state dict with averages in place of trainable parameters. Borrowed. */
  stateDict(): StateDict {
    return new Map([...this.#module.stateDict()].map(([key, own]) => [key, this.#shadows.get(key) ?? own]));
  }

  /** Restores the averages from what stateDict() gave. */
  loadStateDict(state: ReadonlyMap<string, Tensor>): void {
    checkKeys('Ema.loadStateDict', this.stateDict(), state);
    copyStateDict(this.#shadows, state);
  }

  /** Runs `fn` (it may be asynchronous) with the averages in place of the parameters of `module`, without copying. */
  applyTo<T>(module: Module, fn: () => T): T {
    const slots = slotsOf(module).filter(({ path }) => this.#shadows.has(path));
    for (const { holder, property, path } of slots) holder[property] = this.#shadows.get(path);
    return afterwards(fn, () => {
      for (const { holder, property, tensor } of slots) holder[property] = tensor;
    });
  }

  dispose(): void {
    for (const shadow of this.#shadows.values()) shadow.dispose();
  }
}
