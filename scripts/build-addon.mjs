// Builds the addon alone against the libtorch that is there, for work on native/: node scripts/build-addon.mjs.
// `npm run build` does this and all the rest.
import { buildAddon } from './lib/addon.mjs';
import { findLibtorch } from './lib/libtorch.mjs';
import { SetupError } from './lib/shell.mjs';
import { reportFailure } from './lib/steps.mjs';

try {
  const started = performance.now();
  const libtorch = await findLibtorch();
  if (!libtorch.folder) throw new SetupError('no libtorch found', { tried: libtorch.notes, mend: ['npm run build'] });
  const { addon, cached, compiled } = await buildAddon(libtorch);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `${addon} (torch ${libtorch.version} by ${libtorch.how}; ${cached ? 'as before' : `${compiled} compiled`}; ${seconds} s)`,
  );
} catch (error) {
  reportFailure(error);
  process.exitCode = 1;
}
