// The set-up: packages, libtorch, addon, TypeScript, each skipped when nothing changed. Needs Node's built-ins only, so
// that `npm start` and `npm test`, which begin with it, work as the first command in a fresh clone.
// Writes into the clone and the user cache alone (npm's own cache apart).
import { buildAddon } from './lib/addon.mjs';
import { installLibtorch } from './lib/install-libtorch.mjs';
import { findLibtorch } from './lib/libtorch.mjs';
import { compileTypeScript, installPackages } from './lib/packages.mjs';
import { SetupError } from './lib/shell.mjs';
import { reportFailure, step } from './lib/steps.mjs';

async function setup() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`Node ${process.versions.node} is too old`, { mend: ['install Node 20.19 or later'] });
  }
  await step('packages', () => installPackages());
  let libtorch;
  await step('libtorch', async () => {
    libtorch = await findLibtorch();
    const skipped = libtorch.notes.filter((note) => note.startsWith('skipped'));
    for (const note of skipped) console.log(`  libtorch     ${note}`);
    if (!libtorch.folder) {
      await installLibtorch();
      libtorch = await findLibtorch();
    }
    return `torch ${libtorch.version} (${libtorch.how})`;
  });
  await step('addon', async () => {
    const { cached, compiled } = await buildAddon(libtorch);
    return cached ? 'as before' : `${compiled} files compiled`;
  });
  await step('typescript', () => compileTypeScript());
}

try {
  await setup();
} catch (error) {
  reportFailure(error);
  process.exitCode = 1;
}
