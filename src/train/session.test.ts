import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { log } from '../util/log.ts';
import type { Schedule } from './schedule.ts';
import { openSession, type Session } from './session.ts';

log.quiet = true;

/** A session of four steps that trains nothing and is evaluated after each. */
function session(out: string, { keepBest, values }: { keepBest: string; values: number[] }): Session {
  const training = { steps: 4, keep_best: keepBest };
  const config = resolveConfig({ training, eval: { eval_interval: 1 }, data: { synthetic: {} } });
  const schedule: Schedule = {
    stepsPerEpoch: 4,
    end: 4,
    lr: () => 1,
    checkpointEvery: 3,
    sampleEvery: 100,
    logEvery: 1,
    evalEvery: 1,
  };
  const loader = { state: () => 0, restore: () => {} };
  return openSession({
    out,
    config,
    resume: existsSync(join(out, 'config.yaml')),
    schedule,
    parts: { tensors: {}, generators: {} },
    loader,
    batch: 1,
    log,
    headline: 'loss',
    evaluates: ['eval_ema/psnr', 'eval_ema/lpips'],
    evaluate: async () => ({ 'eval_ema/psnr': values[0]!, 'eval_ema/lpips': values.shift()! }),
  });
}

const temporary = () => mkdtempSync(join(tmpdir(), 'rae-session-'));
const bestOf = (out: string) => JSON.parse(readFileSync(join(out, 'checkpoints/best/state.json'), 'utf8'));

async function steps(run: Session, n: number): Promise<void> {
  for (let i = 0; i < n && run.goesOn(); i++) await run.afterStep({ mean: {}, now: {} });
}

test.each([
  { keepBest: 'eval_ema/lpips', values: [3, 1, Number.NaN, 2], best: { step: 2, value: 1 } },
  { keepBest: 'eval_ema/psnr', values: [1, 3, 3, 2], best: { step: 2, value: 3 } },
])(
  'the best checkpoint by $keepBest is kept: the lowest error or the highest score, the earlier of equals',
  async ({ keepBest, values, best }) => {
    const out = temporary();
    const run = session(out, { keepBest, values });
    await steps(run, 4);
    await run.close();
    expect(bestOf(out)).toMatchObject({ step: 2, best });
  },
);

test('a resumed run knows the best of before', async () => {
  const out = temporary();
  const first = session(out, { keepBest: 'eval_ema/lpips', values: [1, 2] });
  await steps(first, 2);
  await first.close();
  const second = session(out, { keepBest: 'eval_ema/lpips', values: [1.5, 1.2] });
  await steps(second, 2);
  await second.close();
  expect([bestOf(out).step, latestCheckpoint(out)?.step]).toEqual([1, 4]);
});

test('a step that an error leaves halfway is not saved', async () => {
  const out = temporary();
  const run = session(out, { keepBest: 'eval_ema/lpips', values: [1, 1, 1, 1] });
  await steps(run, 3);
  expect(run.goesOn()).toBe(true); // the fourth begins and throws
  run.state.samples = 99;
  await run.close();
  expect(JSON.parse(readFileSync(join(latestCheckpoint(out)!.path, 'state.json'), 'utf8')).samples).toBe(3);
});

test('a metric that is not evaluated cannot be kept by', () => {
  expect(() => session(temporary(), { keepBest: 'rfid', values: [] })).toThrow(
    /training\.keep_best: expected one of what is evaluated: eval_ema\/psnr, eval_ema\/lpips, received 'rfid'/,
  );
});
