import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { recipe, recipes } from '../recipes/index.ts';
import { checkLengths } from './before.ts';

test('a run of less than one step is refused', () => {
  const config = resolveConfig({ data: { synthetic: {} }, training: { epochs: 0.01, global_batch_size: 16 } });
  expect(() => checkLengths(config, 64)).toThrow(
    /training\.epochs: expected at least one step, of which an epoch has 4, received 0\.01/,
  );
});

test("every recipe begins and ends within itself, also where a discriminator, as the paper's, never finishes its decay", () => {
  for (const name of Object.keys(recipes)) {
    const { data, ...rest } = recipe(name);
    const config = resolveConfig({ ...rest, data: { ...data, ...(data?.synthetic ? {} : { path: 'pictures' }) } });
    expect(checkLengths(config, 1_281_167), name).toEqual([]);
  }
});
