import { expect, it } from 'vitest';
import { Draws } from './random.ts';
import { admCrop, admSteps, randomCrop, resizedShortSide } from './transforms.ts';

it('the ADM crop halves while it can, rounds half to even and crops the middle', () => {
  expect(admSteps(500, 375, 256)).toEqual([{ resize: [341, 256], filter: 'bicubic' }, { crop: [42, 0, 256, 256] }]);
  expect(admSteps(1027, 511, 64).filter((step) => 'resize' in step && step.filter === 'box')).toHaveLength(2);
  expect(admSteps(45, 36, 8)[2]).toEqual({ resize: [10, 8], filter: 'bicubic' });
  expect(admSteps(37, 16, 8).slice(1)[0]).toEqual({ resize: [18, 8], filter: 'bicubic' }); // 37 -> 18
  expect(admSteps(21, 8, 4)[1]).toEqual({ resize: [10, 4], filter: 'bicubic' });
  expect(admSteps(5, 2, 5)[0]).toEqual({ resize: [12, 5], filter: 'bicubic' }); // 12.5
});

it('the random crop resizes to 1.5 times the side and reaches every place of it', () => {
  const transform = randomCrop(4);
  const tops = new Set<number>();
  const lefts = new Set<number>();
  for (let i = 0; i < 400; i++) {
    const [resize, crop] = transform.crop(100, 50, new Draws(i)) as unknown as [
      { resize: number[] },
      { crop: number[] },
    ];
    expect(resize.resize).toEqual([12, 6]);
    lefts.add(crop.crop[0]!);
    tops.add(crop.crop[1]!);
  }
  expect([...tops].sort()).toEqual([0, 1, 2]);
  expect(lefts.size).toBe(9);
  expect(Math.max(...lefts)).toBe(8);
});

it('the long side is cut off as torchvision does', () => {
  expect(resizedShortSide(131, 197, 48)).toEqual([48, 72]);
  expect(resizedShortSide(161, 97, 48)).toEqual([79, 48]);
});

it('a side that is no whole number is refused', () => {
  expect(() => admCrop(0)).toThrow(/admCrop: expected a side/);
  expect(() => randomCrop(2.5)).toThrow(/randomCrop: expected a side/);
});
