import { diffusionFormNamed, type LastStep, referenceGrid, sdeSamplerNamed } from '../../src/diffusion/index.ts';
import { stack, type Tensor, tidy } from '../../src/tensor/index.ts';
import { gaussianField } from './diffusion-ode.ts';
import { type Entry, expectClose, type Fixture, limitsFor } from './harness.ts';

interface SdeRun {
  run: string;
  sampling_method: string;
  diffusion_form: string;
  diffusion_norm: number;
  last_step: string | null;
  last_step_size: number;
  start_eps?: number;
  time_dist_shift: number;
  num_steps: number;
  result?: string;
}

function sdeStates(run: SdeRun, fixture: Fixture, lastStepTime?: number): Tensor {
  const noise = fixture.get('inputs/noise').to('f64');
  const lastStep = (run.last_step ?? 'none').toLowerCase() as LastStep;
  const high = 1 - (lastStep === 'none' ? 0 : run.last_step_size);
  const states: Tensor[] = [];
  sdeSamplerNamed(run.sampling_method)(
    gaussianField(fixture),
    fixture.get('inputs/x').to('f64'),
    referenceGrid(run.num_steps, { shift: run.time_dist_shift, interval: [run.start_eps ?? 0, high] }),
    {
      diffusion: diffusionFormNamed(run.diffusion_form),
      norm: run.diffusion_norm,
      lastStep,
      ...(lastStepTime === undefined ? {} : { lastStepTime }),
      noise: (step) => noise.select(0, step),
      onStep: ({ x }) => states.push(x.clone()),
    },
  );
  if (lastStep === 'none') states.push(states.at(-1)!); // the fixtures repeat the end where there is no last step
  return stack(states, 0).to('f32');
}

export function sdeReference(entry: Entry, fixture: Fixture): void {
  for (const run of entry.config.runs as SdeRun[]) {
    tidy(() =>
      expectClose(
        sdeStates(run, fixture),
        fixture.get(`outputs/${run.run}/x`),
        limitsFor(entry.tolerance, 'x'),
        run.run,
      ),
    );
  }
}

export function sdeOfficial(entry: Entry, fixture: Fixture): void {
  for (const run of entry.config.runs as SdeRun[]) {
    // Where the reference fails there is nothing to compare.
    if (run.result !== 'finite') continue;
    tidy(() => {
      const quirk = run.last_step ? run.last_step_size : undefined;
      expectClose(
        sdeStates(run, fixture, quirk),
        fixture.get(`outputs/${run.run}/x`),
        limitsFor(entry.tolerance, 'x'),
        run.run,
      );
    });
  }
}
