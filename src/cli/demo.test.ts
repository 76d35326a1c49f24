import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { captureOutput, err } from '../../test/capture.ts';
import { main } from './main.ts';

captureOutput();

test("the demo does not take a folder in which somebody's runs would be replaced", async () => {
  const out = mkdtempSync(join(tmpdir(), 'rae-demo-'));
  mkdirSync(join(out, 'rae'));
  writeFileSync(join(out, 'rae', 'config.yaml'), 'mine');
  expect(await main(['demo', '--out', out])).toBe(2);
  expect(err).toMatch(/^rae: --out: expected a folder of its own for the demo, which would replace '.*rae', received/);
  expect(readFileSync(join(out, 'rae', 'config.yaml'), 'utf8')).toBe('mine');
});
