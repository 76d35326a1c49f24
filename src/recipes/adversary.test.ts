import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { paperAdversary } from './adversary.ts';

test('the adversary begins at the same share of a run of steps and of epochs', () => {
  expect(paperAdversary({ steps: 1600 }).loss).toMatchObject({ disc_upd_start_step: 600, disc_start_step: 800 });
  expect(paperAdversary({ epochs: 32 }).loss).toMatchObject({ disc_upd_start: 12, disc_start: 16 });
  expect(() => resolveConfig({ data: { synthetic: {} }, gan: paperAdversary({ epochs: 16 }) })).not.toThrow();
});
