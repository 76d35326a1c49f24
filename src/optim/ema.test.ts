import { describe, expect, test } from 'vitest';
import { buffer, Module, parameter } from '../nn/index.ts';
import { memoryStats, tensor, tidy } from '../tensor/index.ts';
import { WeightsError } from '../util/errors.ts';
import { Ema, warmDecay } from './index.ts';

class Toy extends Module {
  readonly w = parameter(tensor([0, 8]));
  readonly frozen = parameter(tensor([5]), { requiresGrad: false });
  readonly table = buffer(tensor([7]));
}

describe('Ema', () => {
  test('starts as a copy and moves a part of the way at each update', () => {
    const toy = new Toy();
    const ema = new Ema(toy, { decay: 0.75 });
    toy.w.detach().fill_(4);
    ema.update(0);
    expect(ema.stateDict().get('w')!.toNumbers()).toEqual([1, 7]);
  });

  test('a decay by number of update follows a short run quickly', () => {
    const decay = warmDecay(0.995);
    expect([decay(0), decay(1e6)]).toEqual([0.1, 0.995]);
    const toy = new Toy();
    const ema = new Ema(toy, { decay: (n) => n / 2 });
    toy.w.detach().fill_(4);
    ema.update(0);
    expect(ema.stateDict().get('w')!.toNumbers()).toEqual([4, 4]);
  });

  test('its state dict is a whole model: averages, frozen parameters and buffers', () => {
    const ema = new Ema(new Toy(), { decay: 0.5 });
    expect([...ema.stateDict().keys()]).toEqual(['w', 'frozen', 'table']);
    const other = new Toy();
    other.loadStateDict(ema.stateDict());
    expect(other.w.toNumbers()).toEqual([0, 8]);
  });

  test('applyTo shows the averages to the model while the function runs, also when it throws or waits', async () => {
    const toy = new Toy();
    const ema = new Ema(toy, { decay: 0.5 });
    const trained = toy.w;
    trained.detach().fill_(2);
    const seen = () => toy.w.toNumbers();
    expect(ema.applyTo(toy, seen)).toEqual([0, 8]);
    expect(() =>
      ema.applyTo(toy, () => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(toy.w).toBe(trained);
    const waiting = ema.applyTo(toy, async () => {
      await Promise.resolve();
      return seen();
    });
    expect(toy.w).not.toBe(trained);
    expect(await waiting).toEqual([0, 8]);
    expect(toy.w).toBe(trained);
  });

  test('updates keep nothing, and dispose frees the averages alone', () => {
    const toy = new Toy();
    const before = memoryStats().tensors;
    const ema = tidy(() => new Ema(toy, { decay: 0.5 }));
    for (let n = 0; n < 10; n++) ema.update(n);
    expect(memoryStats().tensors).toBe(before + 1);
    ema.dispose();
    expect(memoryStats().tensors).toBe(before);
    expect(toy.w.disposed).toBe(false);
  });

  test('the state of another model is refused', () => {
    const ema = new Ema(new Toy(), { decay: 0.5 });
    expect(() => ema.loadStateDict(new Map([['w', tensor([1, 2])]]))).toThrow(WeightsError);
  });
});
