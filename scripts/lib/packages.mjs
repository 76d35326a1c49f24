// The two steps that npm and tsc do: packages by the lock file, and src/ to dist/. Both know by content when nothing changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { explainFileError, run, SetupError, tail } from './shell.mjs';

const readJson = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined);

/** The packages of package-lock.json that node_modules lacks or has in another version (npm's own record tells). */
export function stalePackages(folder = root) {
  const wanted = readJson(join(folder, 'package-lock.json')).packages;
  const present = readJson(join(folder, 'node_modules', '.package-lock.json'))?.packages ?? {};
  return Object.keys(wanted).filter(
    (key) => key && !wanted[key].optional && present[key]?.version !== wanted[key].version,
  );
}

/** npm ci, when the lock file asks for something that is not there. Returns what to show. */
export async function installPackages(env = process.env, folder = root) {
  if (!existsSync(join(folder, 'package-lock.json'))) return 'installed with the package';
  const stale = stalePackages(folder);
  if (stale.length === 0) return 'as the lock file says';
  // Development packages come along (vitest, tsc); no package runs a script of its own.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = env.npm_execpath?.endsWith('.js') ? [process.execPath, [env.npm_execpath, ...args]] : ['npm', args];
  const result = await run(...npm, { cwd: folder, env });
  if (result.missing) throw new SetupError('there is no npm on the PATH', { mend: ['install Node.js with npm'] });
  if (result.ok) return `${stale.length} installed by npm ci`;
  if (/ENOSPC/.test(result.stderr)) throw explainFileError({ code: 'ENOSPC', message: 'disk full' }, 'npm ci', folder);
  throw new SetupError('npm ci failed', {
    tried: tail(result.stderr, 6),
    mend: ["check the network and npm's registry (npm config get registry), then again: npm run build"],
  });
}

/** tsc -p tsconfig.build.json, when src/ or its settings changed since the last time. Returns what to show. */
export async function compileTypeScript(folder = root) {
  const src = join(folder, 'src');
  if (!existsSync(src)) return 'compiled with the package';
  const dist = join(folder, 'dist');
  const files = readdirSync(src, { recursive: true }).filter(
    (name) => /\.(ts|json)$/.test(name) && !name.endsWith('.test.ts'),
  );
  const h = createHash('sha256');
  for (const name of files.sort())
    h.update(name)
      .update('\0')
      .update(readFileSync(join(src, name)));
  for (const name of ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    h.update(readFileSync(join(folder, name)));
  const key = h.digest('hex');
  const stamp = join(folder, 'build', 'typescript.txt');
  if (existsSync(stamp) && existsSync(dist) && readFileSync(stamp, 'utf8') === key) return 'as before';

  const tsc = join(folder, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = await run(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: folder });
  if (!result.ok) {
    throw new SetupError('tsc found errors in src/', {
      tried: tail(`${result.stdout}\n${result.stderr}`, 8),
      mend: ['npm run types'],
    });
  }
  removeOrphans(dist, new Set(files.map((name) => name.replace(/\.ts$/, ''))));
  mkdirSync(join(folder, 'build'), { recursive: true });
  writeFileSync(stamp, key);
  return `${files.length} files`;
}

/** Files in dist/ whose source is gone would still be found by an import. */
function removeOrphans(dist, sources) {
  for (const name of readdirSync(dist, { recursive: true })) {
    const source = name.replace(/\.(js|d\.ts)(\.map)?$/, '');
    if (source !== name && !sources.has(source)) rmSync(join(dist, name));
  }
}
