import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { main } from './main.ts';

test("the demo does not take a folder in which somebody's runs would be replaced", async () => {
  let err = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text;
    return true;
  });
  const out = mkdtempSync(join(tmpdir(), 'rae-demo-'));
  mkdirSync(join(out, 'rae'));
  writeFileSync(join(out, 'rae', 'config.yaml'), 'mine');
  expect(await main(['demo', '--out', out])).toBe(2);
  write.mockRestore();
  expect(err).toMatch(/^rae: --out: expected a folder of its own for the demo, which would replace '.*rae', received/);
  expect(readFileSync(join(out, 'rae', 'config.yaml'), 'utf8')).toBe('mine');
});
