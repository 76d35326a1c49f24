import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { decodeImage } from '../io/image.ts';
import { main } from './main.ts';

let folder: string;
const written: string[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rae-plot-'));
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  }
});
afterAll(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const at = (name: string) => join(folder, name);

function runWith(name: string, lines: object[]): string {
  mkdirSync(at(name), { recursive: true });
  writeFileSync(join(at(name), 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return at(name);
}

test('curves of two runs share a chart for each figure, averages beside the raw ones', async () => {
  const lines = [1, 2, 3].map((step) => ({
    step,
    'loss/total': 1 / step,
    'eval/psnr': step,
    'eval_ema/psnr': step + 1,
  }));
  const runs = [runWith('one', lines), runWith('two', lines)];
  expect(await main(['plot', 'curves', ...runs, '--out', at('c.svg')])).toBe(0);
  const svg = readFileSync(at('c.svg'), 'utf8');
  expect(svg.match(/font-weight="600"/g)).toHaveLength(2); // loss/total, psnr
  expect(svg).toContain('one, eval_ema');
  expect(await main(['plot', 'curves', runs[0]!, '--metrics', 'los', '--out', at('c.svg')])).toBe(2);
  expect(written.at(-1)).toContain('expected some of step, loss/total');
});

test('the schedule of a larger latent lies nearer to noise', async () => {
  written.length = 0;
  expect(await main(['plot', 'schedule', '--dims', '4096,65536', '--out', at('s.png'), '--json'])).toBe(0);
  expect(JSON.parse(written.at(-1)!)).toMatchObject({ shifts: [{ shift: 1 }, { shift: 4 }] });
  expect((await decodeImage(at('s.png'))).width).toBe(1920);
});

test('a table of results becomes a line for each value of a column', async () => {
  const rows = [
    ['euler', 10, 3],
    ['euler', 50, 2],
    ['heun2', 10, 2.5],
  ].map(([sampler, steps, fd]) => JSON.stringify({ sampler, steps, scores: { fd } }));
  writeFileSync(at('t.jsonl'), rows.join('\n'));
  expect(
    await main([
      'plot',
      'table',
      at('t.jsonl'),
      '--x',
      'steps',
      '--y',
      'scores.fd',
      '--by',
      'sampler',
      '--out',
      at('t.svg'),
    ]),
  ).toBe(0);
  expect(readFileSync(at('t.svg'), 'utf8')).toContain('>heun2<');
  expect(await main(['plot', 'table', at('t.jsonl'), '--x', 'steps', '--y', 'fid', '--out', at('t.svg')])).toBe(2);
  expect(written.at(-1)).toContain("expected rows with numbers 'steps' and 'fid'");
});

test('results of rae eval have their metrics, steps and guidance as columns', async () => {
  const result = (scale: number | undefined, recall: number) => ({
    precision: 'fp32',
    scores: [
      { metric: 'precision', value: 0.5 },
      { metric: 'recall', value: recall },
    ],
    samples: { sampler: { steps: 50 }, guidance: scale === undefined ? {} : { cfg: { scale } } },
  });
  const files = [result(undefined, 0.1), result(2, 0.2)].map((content, i) => {
    writeFileSync(at(`result${i}.json`), JSON.stringify(content));
    return at(`result${i}.json`);
  });
  for (const [x, y] of [
    ['recall', 'precision'],
    ['guidance', 'recall'],
    ['steps', 'recall'],
  ] as const) {
    written.length = 0;
    expect(
      await main(['plot', 'table', ...files, '--x', x, '--y', y, '--by', 'file', '--out', at('e.svg'), '--json']),
    ).toBe(0);
    expect(JSON.parse(written.at(-1)!).series).toEqual(['result0.json', 'result1.json']);
  }
});

test('latents become colours beneath their pictures, and each sample stands beside what is nearest to it', async () => {
  expect(
    await main(['plot', 'latents', '--model', 'embedded', '--input', 'embedded', '--num', '3', '--out', at('l.png')]),
  ).toBe(0);
  const sheet = await decodeImage(at('l.png'));
  expect([sheet.width, sheet.height]).toEqual([3 * 34 + 2, 2 * 34 + 2]);

  written.length = 0;
  const both = ['--input', 'embedded', '--reference', 'embedded', '--held-out', 'embedded', '--num', '2', '--k', '2'];
  expect(await main(['plot', 'nearest', '--model', 'embedded', ...both, '--out', at('n.png'), '--json'])).toBe(0);
  const { samples, heldOut } = JSON.parse(written.at(-1)!);
  expect(samples).toEqual(heldOut);
  expect(samples).toMatchObject({ pictures: 16, copies: 1 }); // every picture is its own nearest
  expect((await decodeImage(at('n.png'))).height).toBe(2 * 34 + 2);
});
