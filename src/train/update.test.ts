import { expect, test } from 'vitest';
import { AdamW } from '../optim/index.ts';
import { tensor } from '../tensor/index.ts';
import { applyUpdate, updateRatio } from './update.ts';

function setUp() {
  const params = ['a.weight', 'b.bias'].map((name) => {
    const p = tensor([1, 2]).setRequiresGrad();
    p.setGrad(tensor([0.5, 0.5]));
    return [name, p] as const;
  });
  const optimizer = new AdamW(params, { lr: 0.1 });
  return { params, optimizer, step: 7, lr: 0.1, clip: 0, loss: 1 };
}

test('an update returns the norm of the gradients and clears them', () => {
  const update = setUp();
  expect(applyUpdate(update)).toBeCloseTo(1);
  expect(update.params.every(([, p]) => p.grad === undefined)).toBe(true);
});

test.each([
  {
    what: 'a gradient',
    spoil: ({ params }: ReturnType<typeof setUp>) => params[1]![1].setGrad(tensor([0, Number.NaN])),
    says: /step 7: .* in the gradients of b\.bias\./,
  },
  {
    what: 'a gradient alone, although clipping would spread it',
    spoil: (update: ReturnType<typeof setUp>) => {
      update.clip = 1;
      update.params[1]![1].setGrad(tensor([0, Number.NaN]));
    },
    says: /step 7: .* in the gradients of b\.bias\./,
  },
  {
    what: 'a parameter, whatever followed from it',
    spoil: ({ params }: ReturnType<typeof setUp>) => {
      params[0]![1].detach().fill_(Number.POSITIVE_INFINITY);
      params[1]![1].setGrad(tensor([0, Number.NaN]));
    },
    says: /step 7: .* in the parameters a\.weight\./,
  },
])('the guard names $what, and nothing is updated', ({ spoil, says }) => {
  const update = setUp();
  spoil(update);
  const before = update.params.map(([, p]) => p.toNumbers());
  expect(() => applyUpdate(update)).toThrow(says);
  expect(update.params.map(([, p]) => p.toNumbers())).toEqual(before);
});

test('the guard names the part of the loss that is not finite', () => {
  const terms = { 'loss/recon': 0.1, 'loss/lpips': Number.NaN };
  expect(() => applyUpdate({ ...setUp(), loss: Number.NaN, terms })).toThrow(/loss NaN .* in loss\/lpips\./);
});

test('the update ratio is the length of the change over that of the parameters before', () => {
  const update = setUp();
  const { ratio } = updateRatio(
    update.params.map(([, p]) => p),
    () => applyUpdate(update),
  );
  expect(ratio).toBeCloseTo(Math.sqrt(4 * 0.1 ** 2) / Math.sqrt(10), 4); // Adam's first step moves every number by the rate
});
