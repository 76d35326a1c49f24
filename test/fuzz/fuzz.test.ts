// Two hundred damaged files a parser, some thousands together; `npm run fuzz` makes a hundred thousand, each parser in a process of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';
import { parsers } from './parsers.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-fuzz-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

it.each(parsers.map((parser) => [parser.name, parser] as const))(
  'damaged files give %s a value or an error of ours, quickly and in little memory',
  async (name, parser) => {
    const { inputs, accepted } = await fuzz(parser, { runs: 200, seed: 1, path: join(folder, name) });
    expect([inputs, accepted > 0, accepted < inputs]).toEqual([200, true, true]);
  },
);

it('a parser that throws something else, or takes too long, is found out and the input kept', async () => {
  const inputs = fc.uint8Array({ maxLength: 3 });
  const path = join(folder, 'found');
  const broken = { name: 'broken', inputs, read: (at: string) => JSON.parse(`{${at}`) };
  await expect(fuzz(broken, { runs: 5, seed: 1, path })).rejects.toThrow(/broken, seed 1: Expected property name/);
  const slow = {
    name: 'slow',
    inputs: fc.constant(new Uint8Array(3)), // nothing to shrink
    read: () => {
      const end = process.cpuUsage().user + 1_100_000;
      for (let _sum = 0; process.cpuUsage().user < end; ) for (let i = 0; i < 1e7; i++) _sum += i;
    },
  };
  await expect(fuzz(slow, { runs: 1, seed: 1, path })).rejects.toThrow(/slow, seed 1: took \d+ ms of computing/);
});
