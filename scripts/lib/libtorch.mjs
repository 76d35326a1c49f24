// Finding libtorch, in this order: LIBTORCH, the user cache, the torch of python3. What a folder holds is read from
// its files (version header, exported symbols), never by importing torch, so that a look costs milliseconds.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './paths.mjs';
import { run, SetupError } from './shell.mjs';

export const wheelVersion = '2.13.0';
/** Minor releases of torch 2 that the addon is built and tested against. */
export const supported = { min: 11, max: 14 };
const extension = process.platform === 'darwin' ? 'dylib' : 'so';

/**
 * What `folder` holds: { folder, version, cuda, identity }, or { folder, problem } in one phrase.
 * A folder is good when it has lib/libtorch_cpu, lib/libc10, the headers, a known version and the C++11 ABI.
 */
export function inspectLibtorch(folder) {
  if (!existsSync(folder)) return { folder, problem: 'there is no such folder' };
  const cpu = join(folder, 'lib', `libtorch_cpu.${extension}`);
  const c10 = join(folder, 'lib', `libc10.${extension}`);
  for (const file of [cpu, c10])
    if (!existsSync(file)) return { folder, problem: `it has no ${file.slice(folder.length + 1)}` };
  if (!existsSync(join(folder, 'include', 'ATen', 'ATen.h')))
    return { folder, problem: 'it has no include/ATen/ATen.h' };
  const version = versionOf(folder);
  if (!version) return { folder, problem: 'its version cannot be read from include/torch' };
  const [major, minor] = version.split('.').map(Number);
  if (major !== 2 || minor < supported.min || minor > supported.max) {
    return {
      folder,
      version,
      problem: `it is torch ${version}, and 2.${supported.min} to 2.${supported.max} are supported`,
    };
  }
  if (process.platform === 'linux' && !readFileSync(c10).includes('St7__cxx1112basic_string')) {
    return {
      folder,
      version,
      problem: `its torch ${version} is built without the C++11 ABI (_GLIBCXX_USE_CXX11_ABI=0)`,
    };
  }
  const { size } = statSync(cpu);
  const cuda = existsSync(join(folder, 'lib', `libtorch_cuda.${extension}`));
  return {
    folder,
    version,
    cuda,
    identity: [version, size, cuda].join('|'),
  };
}

/** '2.13.0' or '2.13.0+cpu': version.py or build-version where there is one, else the header. */
function versionOf(folder) {
  const read = (...parts) => (existsSync(join(folder, ...parts)) ? readFileSync(join(folder, ...parts), 'utf8') : '');
  const full = read('build-version').trim() || read('version.py').match(/__version__ = '([^']+)'/)?.[1];
  if (full) return full;
  for (const parts of [
    ['headeronly', 'version.h'],
    ['csrc', 'api', 'include', 'torch', 'version.h'],
  ]) {
    const header = read('include', 'torch', ...parts);
    const number = (part) => header.match(new RegExp(`#define TORCH_VERSION_${part} (\\d+)`))?.[1];
    if (number('MAJOR')) return ['MAJOR', 'MINOR', 'PATCH'].map(number).join('.');
  }
  return undefined;
}

/** Folders of the user cache that hold an installed libtorch, the one installed last first. */
export function cachedLibtorchs(env = process.env) {
  const base = join(cacheFolder(env), 'libtorch');
  if (!existsSync(base)) return [];
  return readdirSync(base)
    .map((name) => ({ folder: join(base, name, 'torch'), stamp: join(base, name, 'complete.json') }))
    .filter(({ stamp }) => existsSync(stamp))
    .sort((a, b) => statSync(b.stamp).mtimeMs - statSync(a.stamp).mtimeMs)
    .map(({ folder }) => folder);
}

/**
 * The libtorch to use: { folder, version, cuda, identity, how, notes } or { notes } when there is none.
 * `notes` says what was looked at and why it was passed over. A LIBTORCH that does not fit is an error: the user asked for it.
 */
export async function findLibtorch(env = process.env) {
  const notes = [];
  if (env.LIBTORCH) {
    const found = inspectLibtorch(env.LIBTORCH);
    if (!found.problem) return { ...found, how: 'LIBTORCH', notes };
    throw new SetupError(`LIBTORCH=${env.LIBTORCH} cannot be used: ${found.problem}`, {
      mend: [
        `point LIBTORCH at a folder with lib/ and include/ of torch 2.${supported.min} to 2.${supported.max}, or let the set-up find one: env -u LIBTORCH npm run build`,
      ],
    });
  }
  for (const folder of cachedLibtorchs(env)) {
    const found = inspectLibtorch(folder);
    if (!found.problem) return { ...found, how: 'user cache', notes };
    notes.push(`skipped ${folder}: ${found.problem}`);
  }
  const python = await pythonTorch(env);
  if (!python.folder) {
    notes.push(python.problem);
    return { notes };
  }
  const found = inspectLibtorch(python.folder);
  if (!found.problem) return { ...found, how: 'python3', notes };
  notes.push(`skipped python3's torch in ${python.folder}: ${found.problem}`);
  return { notes };
}

async function pythonTorch(env) {
  const code =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
  const result = await run('python3', ['-c', code], { env });
  if (result.missing) return { problem: 'there is no python3 on the PATH' };
  const folder = result.stdout.trim();
  return folder ? { folder } : { problem: 'python3 has no torch' };
}
