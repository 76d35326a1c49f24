// The command line. One file a verb, imported when it is called: `rae --help` loads neither verbs nor the addon.
// A new verb is a file that exports `command(): Command` (see shared.ts) and a line in the table below.
import { Command } from 'commander';
import { nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { reportError, version } from './shared.ts';

interface Verb {
  help: string;
  load: () => Promise<{ command: () => Command }>;
}

/** In the order of the help. */
const verbs: Record<string, Verb> = {
  demo: { help: 'train and sample a small model from nothing, in minutes', load: () => import('./demo.ts') },
  train: { help: 'train an encoder, an RAE or a diffusion transformer', load: () => import('./train.ts') },
  stats: { help: 'mean and variance of the latents of a set of pictures', load: () => import('./stats.ts') },
  encode: { help: 'pictures to latents', load: () => import('./encode.ts') },
  decode: { help: 'latents to pictures', load: () => import('./decode.ts') },
  reconstruct: { help: 'pictures through the autoencoder, with PSNR and SSIM', load: () => import('./reconstruct.ts') },
  sample: { help: 'pictures from noise', load: () => import('./sample.ts') },
  eval: { help: 'how good samples or reconstructions are: FID and its kin', load: () => import('./eval.ts') },
  edit: { help: 'interpolate, mix classes, invert, vary and inpaint', load: () => import('./edit.ts') },
  plot: { help: 'charts of runs, schedules and results; sheets of latents', load: () => import('./plot.ts') },
  convert: { help: 'weights from one layout to another', load: () => import('./convert.ts') },
  inspect: { help: 'what a file or a run is: tensors, metadata, how to use it', load: () => import('./inspect.ts') },
  weights: { help: 'published weights: list, get, put, verify', load: () => import('./weights.ts') },
  recipes: { help: 'list the recipes, or print one as YAML', load: () => import('./recipes.ts') },
  doctor: { help: 'show versions, the engine found, devices and speed', load: () => import('./doctor.ts') },
  engine: { help: 'install libtorch (engine install)', load: () => import('./engine.ts') },
};

/** Runs `rae ARGUMENTS` and returns the exit code: 0 done, 1 failed, 2 bad usage, 130 or 143 interrupted after saving. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const given = args[0] === 'help' ? [...args.slice(1), '--help'] : args; // `rae help sample` is `rae sample --help`
    const program = await programFor(given[0]);
    await program.parseAsync(given, { from: 'user' });
    return 0;
  } catch (error) {
    return reportError(error, args.includes('--debug'));
  }
}

async function programFor(first: string | undefined): Promise<Command> {
  const program = new Command('rae')
    .description('Representation Autoencoders and Diffusion Transformers')
    .version(version(), '--version', 'print the version')
    .helpCommand(false)
    .enablePositionalOptions() // so that a verb with sub-verbs can tell its own options from theirs
    .showHelpAfterError(false);
  const verb = first !== undefined && Object.hasOwn(verbs, first) ? verbs[first] : undefined;
  if (verb) program.addCommand((await verb.load()).command());
  else if (first !== undefined && !first.startsWith('-')) throw unknownVerb(first);
  else for (const [name, { help }] of Object.entries(verbs)) program.command(name).description(help);
  program.addHelpText('after', "\n'rae VERB --help' shows a verb's options and an example.");
  if (first === undefined) program.action(() => program.help());
  overrideExit(program);
  return program;
}

/** Commander must throw instead of ending the process, and leave printing of errors to us. */
function overrideExit(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} });
  for (const child of command.commands) overrideExit(child);
}

/** What other programs call these things. */
const elsewhere: Readonly<Record<string, string>> = {
  generate: 'sample',
  infer: 'sample',
  inference: 'sample',
  download: 'weights get',
  pull: 'weights get',
  upload: 'weights put',
  push: 'weights put',
  embed: 'encode',
  finetune: 'train',
  install: 'engine install',
};

function unknownVerb(name: string): ConfigError {
  const near = (Object.hasOwn(elsewhere, name) ? elsewhere[name] : undefined) ?? nearest(name, Object.keys(verbs));
  const next = near ? `Did you mean '${near}'?` : `Known: ${Object.keys(verbs).join(', ')}.`;
  return new ConfigError(`expected a verb, received '${name}'. ${next}`);
}
