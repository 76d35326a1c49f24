// rae engine install: fetches libtorch into the user cache (or takes the user's own) and builds the addon against it.
// The one installed last is used from then on; LIBTORCH still goes first. The work is the set-up's (scripts/lib).
import { Command } from 'commander';
import { EngineError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { scriptsModule } from './scripts.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

interface InstallOptions extends VerbOptions {
  cuda?: boolean;
  from?: string;
}

export function command(): Command {
  const install = verb(
    'install',
    'fetch libtorch into the user cache and build the addon against it',
    'rae engine install\nrae engine install --cuda\nrae engine install --from ./torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl',
  )
    .option('--cuda', 'take a CUDA build (default: only where a GPU is seen)')
    .option('--no-cuda', 'take the CPU part of a CUDA build even where a GPU is seen')
    .option('--from <path>', 'a torch wheel, or a folder with lib/ and include/, instead of pip')
    .action(installEngine);
  return new Command('engine').description('install libtorch').helpCommand(false).addCommand(install);
}

async function installEngine(options: InstallOptions): Promise<void> {
  const [{ installLibtorch }, { findLibtorch }, { buildAddon }] = await Promise.all([
    scriptsModule('install-libtorch'),
    scriptsModule('libtorch'),
    scriptsModule('addon'),
  ]);
  try {
    const folder = await installLibtorch({
      ...(options.from === undefined ? {} : { from: options.from }),
      ...(options.cuda === undefined ? {} : { cuda: options.cuda }),
      say: (line) => log.info(line.trim()),
    });
    const libtorch = await findLibtorch();
    if (libtorch.how === 'LIBTORCH') log.warn(`LIBTORCH is set and goes before ${folder}`);
    const { addon } = await buildAddon(libtorch);
    const result = { libtorch: libtorch.folder, version: libtorch.version, addon };
    printResult(options, result, `torch ${result.version} in ${result.libtorch}\naddon ${addon}`);
  } catch (error) {
    throw await asEngineError(error);
  }
}

/** The set-up's error says what was tried and what mends it; the command line prints messages of one or two lines. */
async function asEngineError(error: unknown): Promise<unknown> {
  const { SetupError } = await scriptsModule('shell');
  if (!(error instanceof SetupError)) return error;
  const tried = error.tried.length > 0 ? ` (${error.tried.join('; ')})` : '';
  const mend = error.mend.length > 0 ? `\nNext step: ${error.mend.join('; ')}` : '';
  return new EngineError(`engine install: ${error.message}${tried}.${mend}`, { cause: error });
}
