import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { latestCheckpoint, readMetrics } from '../runs/index.ts';
import { log } from '../util/log.ts';
import { stopWhenInterrupted } from './interruption.ts';
import type { Schedule } from './schedule.ts';
import { openSession, type Session } from './session.ts';

log.quiet = true;

/** A session of four steps that trains nothing and is evaluated after each. */
function session(out: string, options: { keepBest: string; values: number[] }): Promise<Session> {
  const training = { steps: 4, keep_best: options.keepBest };
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
    evaluate: async () => {
      const { values } = options;
      return { 'eval_ema/psnr': values[0]!, 'eval_ema/lpips': values.shift()! };
    },
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
    const run = await session(out, { keepBest, values });
    await steps(run, 4);
    await run.close();
    expect(bestOf(out)).toMatchObject({ step: 2, best });
  },
);

test('a resumed run knows the best of before', async () => {
  const out = temporary();
  const first = await session(out, { keepBest: 'eval_ema/lpips', values: [1, 2] });
  await steps(first, 2);
  await first.close();
  const second = await session(out, { keepBest: 'eval_ema/lpips', values: [1.5, 1.2] });
  await steps(second, 2);
  await second.close();
  expect([bestOf(out).step, latestCheckpoint(out)?.step]).toEqual([1, 4]);
});

test('a step that an error leaves halfway is not saved', async () => {
  const out = temporary();
  const run = await session(out, { keepBest: 'eval_ema/lpips', values: [1, 1, 1, 1] });
  await steps(run, 3);
  expect(run.goesOn()).toBe(true); // the fourth begins and throws
  run.state.samples = 99;
  await run.close();
  expect(JSON.parse(readFileSync(join(latestCheckpoint(out)!.path, 'state.json'), 'utf8')).samples).toBe(3);
});

test('a metric that is not evaluated cannot be kept by', async () => {
  await expect(session(temporary(), { keepBest: 'rfid', values: [] })).rejects.toThrow(
    /training\.keep_best: expected one of what is evaluated: eval_ema\/psnr, eval_ema\/lpips, received 'rfid'/,
  );
});

test('a full disk is told with the checkpoint that is left, which the error does not touch', async () => {
  const out = temporary();
  const run = await session(out, { keepBest: 'eval_ema/lpips', values: [1, 1, 1, 1] });
  await steps(run, 3);
  const metrics = join(out, 'metrics.jsonl');
  rmSync(metrics);
  symlinkSync('/dev/full', metrics);
  await expect(steps(run, 1)).rejects.toThrow(
    /cannot be written after step 4 \(the disk is full\)\. The checkpoint of step 3 is whole: go on with --resume/,
  );
  await run.close();
  expect(latestCheckpoint(out)?.step).toBe(3);
});

test('a signal during an evaluation saves at once, and the resumed run evaluates first', async () => {
  const out = temporary();
  const first = await session(out, {
    keepBest: 'eval_ema/lpips',
    get values(): number[] {
      process.kill(process.pid, 'SIGTERM');
      stopWhenInterrupted();
      return [];
    },
  });
  await expect(steps(first, 2)).rejects.toMatchObject({ exitCode: 143 });
  await first.close();
  const stateOf = () => JSON.parse(readFileSync(join(latestCheckpoint(out)!.path, 'state.json'), 'utf8'));
  expect(stateOf()).toMatchObject({ step: 1, due: ['figures'] });
  const second = await session(out, { keepBest: 'eval_ema/lpips', values: [0.5, 0.6] });
  expect(stateOf()).toMatchObject({ step: 1, due: [] });
  await steps(second, 1);
  await second.close();
  const evaluated = readMetrics(join(out, 'metrics.jsonl')).filter((line) => 'eval_ema/lpips' in line);
  expect(evaluated.map((line) => [line.step, line['eval_ema/lpips']])).toEqual([
    [1, 0.5],
    [2, 0.6],
  ]);
});
