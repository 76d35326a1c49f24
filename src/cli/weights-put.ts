// rae weights put: a run's model as a repository of the hub, in the folder layout that --model reads, with a card.

import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { expected } from '../util/check.ts';
import { ConfigError, InterruptedError } from '../util/errors.ts';
import { bytes, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { hubSettings } from '../weights/hub-cache.ts';
import { isRepoName } from '../weights/hub-name.ts';
import { requireToken, type UploadFile, uploadFiles } from '../weights/upload.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

interface PutOptions extends VerbOptions {
  license: string;
  private?: boolean;
  raw?: boolean;
  dryRun?: boolean;
}

export function putCommand(): Command {
  return verb(
    'put',
    "publish a run's model on the hub, with a card",
    'rae weights put runs/dit me/my-dit --dry-run\nHF_TOKEN=hf_... rae weights put runs/dit me/my-dit --license mit',
  )
    .argument('<run>', 'a run directory, or one of its checkpoints')
    .argument('<repo>', 'owner/repo; made where it is not there')
    .option('--license <id>', "an identifier of the hub's list: mit, apache-2.0, cc-by-nc-4.0, ...", 'other')
    .option('--private', 'make the repository private')
    .option('--raw', 'the trained weights instead of their average')
    .option('--dry-run', 'show the files and the card, and upload nothing')
    .action(put);
}

async function put(run: string, text: string, options: PutOptions): Promise<void> {
  log.quiet = options.json ?? false;
  if (!isRepoName(text)) throw new ConfigError(expected('weights put', "a repository, 'owner/name'", text));
  const repo = text;
  const [{ publication }, { modelCard }] = await Promise.all([
    import('../inference/publish.ts'),
    import('../inference/model-card.ts'),
  ]);
  const model = publication(run, options);
  const card = modelCard(model, repo, options.license);
  const files: UploadFile[] = [...model.files, { name: 'README.md', text: card }];
  const sized = files.map((file) => ({
    name: file.name,
    size: 'path' in file ? statSync(file.path).size : Buffer.byteLength(file.text),
  }));
  const listing = table(sized.map(({ name, size }) => [name, bytes(size)]));
  const settings = hubSettings();
  if (options.dryRun) {
    printResult(options, { repo, files: sized, card, uploaded: false }, `${listing}\n\n${card}`);
    return;
  }
  requireToken(settings, repo);
  log.info(`to ${settings.endpoint}/${repo}\n${listing}`);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const url = await uploadFiles(settings, repo, files, {
      title: `Upload ${model.stage === 'dit' ? 'generator' : model.stage}${model.parts.step === undefined ? '' : ` of step ${model.parts.step}`}`,
      private: options.private ?? false,
      signal: stop.signal,
      onProgress: (text) => log.live(text),
    });
    log.done();
    const next = `others get it by: rae weights get ${repo}, then --model hf://${repo}`;
    printResult(options, { repo, url, files: sized, uploaded: true }, `${url}\n${next}`);
  } catch (error) {
    log.done();
    if (!stop.signal.aborted) throw error;
    throw new InterruptedError('interrupted: nothing was committed; run it again.', 130);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
