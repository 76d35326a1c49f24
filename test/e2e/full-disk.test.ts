// A disk that fills up while a run saves: a file system of a few megabytes in memory, which only root may mount (elsewhere skipped; what the
// session says is tested beside it).

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { latestCheckpoint, listCheckpoints } from '../../src/runs/index.ts';
import { captureOutput, err, forgetOutput } from '../capture.ts';
import { temporaryFolder } from './small-runs.ts';

const folder = temporaryFolder();
const disk = join(folder, 'disk');
const MEGABYTES = 48; // a checkpoint of the runs below has 5 to 13

function mounted(): boolean {
  mkdirSync(disk, { recursive: true });
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${MEGABYTES}m`, 'tmpfs', disk]).status === 0;
}

const canMount = process.platform === 'linux' && process.getuid?.() === 0 && mounted();
afterAll(() => {
  if (canMount) spawnSync('umount', [disk]);
  rmSync(folder, { recursive: true });
});

captureOutput();

const set = (...values: string[]) => values.flatMap((value) => ['--set', value]);
const common = [
  ...['--threads', '1', '--steps', '8'],
  ...set('data.synthetic.train_size=32', 'data.synthetic.eval_size=8', 'training.global_batch_size=16'),
  ...set('training.checkpoint_every=1', 'training.keep_checkpoints=4', 'training.sample_every=1000'),
];
const STAGES = {
  rae: ['--recipe', 'embedded-rae', ...set('stage_1.params.decoder_config.decoder_num_hidden_layers=1')],
  dit: ['--recipe', 'embedded-dit', '--rae', 'embedded', ...set('stage_2.params.depth=[1,1]')],
};

describe.runIf(canMount)('a disk that is full while a run saves', () => {
  it.each(['rae', 'dit'] as const)(
    'train %s: the checkpoint that is whole is named, and the run goes on from it once there is room',
    async (stage) => {
      const run = join(disk, stage);
      const ballast = join(disk, 'ballast');
      expect(await main(['train', stage, '--out', run, ...STAGES[stage], ...common, '--steps', '1'])).toBe(0);
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(ballast, new Uint8Array(bavail * bsize - 1.5 * sizeOf(latestCheckpoint(run)!.path)));
      forgetOutput();
      expect(await main(['train', stage, '--out', run, '--resume', '--threads', '1', '--steps', '8'])).toBe(1);
      expect(err).toMatch(
        /rae: .*: cannot be written after step 3 \(the disk is full\)\. The checkpoint of step 2 is whole: go on with --resume/,
      );
      expect(err).not.toContain('    at ');
      expect(listCheckpoints(run).map(({ step }) => step)).toEqual([1, 2]);
      rmSync(ballast);
      expect(await main(['train', stage, '--out', run, '--resume', '--threads', '1', '--steps', '3'])).toBe(0);
      expect(latestCheckpoint(run)?.step).toBe(3);
      rmSync(run, { recursive: true });
    },
  );

  it('a run of which not one checkpoint would fit is refused before anything is written', async () => {
    const run = join(disk, 'large');
    const wide = ['--recipe', 'embedded-dit', '--rae', 'embedded', ...set('stage_2.params.hidden_size=[192,320]')];
    expect(await main(['train', 'dit', '--out', run, ...wide, ...common])).toBe(1);
    expect(err).toMatch(/large: cannot hold the run \(it has .* free, and a checkpoint takes .*\)\. Make room/);
    expect(existsSync(run)).toBe(false);
  });
});

const sizeOf = (path: string) => readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
