// rae eval: how good samples or reconstructions are, and exactly how that was measured. It reads pictures or makes them with a model, and
// prints a table; --json has every value, file and checksum. Results do not depend on --batch, --workers or an interruption.

import type { Command } from 'commander';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { compareCommand } from './eval-compare.ts';
import { commandLine, type EvalOptions, withEvalOptions } from './eval-options.ts';
import { packCommand } from './eval-pack.ts';
import { asText } from './eval-report.ts';
import { runEvaluation } from './eval-run.ts';
import { statsCommand } from './eval-stats.ts';
import { beginVerb } from './model-options.ts';
import { printResult, verb } from './shared.ts';

export function command(): Command {
  const example = [
    'rae eval --samples samples.npz --reference VIRTUAL_imagenet256_labeled.npz --extractor pt_inception.pth',
    'rae eval --model runs/dit --num 5000 --reference photos/test --extractor dinov2.safetensors --metrics fid,precision,recall',
    'rae eval --model runs/rae --reference photos/test --metrics rfid,psnr,ssim,lpips --lpips lpips.safetensors',
    'rae eval --reference photos/test --train photos/train --extractor runs/encoder --metrics probe,knn,rank',
  ].join('\n');
  const evaluation: Command = withEvalOptions(
    verb('eval', 'how good samples or reconstructions are: FID and its kin', example)
      .option('--samples <path>', 'pictures to judge: a folder, an archive, an npz, or a run whose samples are made')
      .option(
        '--model <path>',
        "a run, a configuration or 'embedded': its samples, or its reconstructions of the reference",
      ),
  )
    .enablePositionalOptions() // what follows a sub-verb belongs to it
    .action(run);
  for (const sub of [packCommand(), statsCommand(), compareCommand()]) evaluation.addCommand(sub);
  return evaluation;

  async function run(options: EvalOptions): Promise<void> {
    beginVerb(options);
    const result = await runEvaluation(options, commandLine(evaluation));
    if (options.out !== undefined) writeFileAtomic(options.out, `${JSON.stringify(result, undefined, 2)}\n`);
    printResult(options, result, asText(result));
  }
}
