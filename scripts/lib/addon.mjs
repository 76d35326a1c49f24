// Builds the addon (native/**/*.cc) with the plain compiler: one object per source, two at a time, then one link. Sources in
// native/kernels are compiled once for each capability of the processor; the addon chooses at run time.
// Objects and addons lie in the user cache under the hash of everything that goes into them, so nothing is built twice.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { cacheFolder, engineFile, root } from './paths.mjs';
import { explainFileError, run, SetupError, tail } from './shell.mjs';

const jobs = 2;

/** Flags for native/kernels. Their files name nothing of the standard library that could be emitted with instructions another processor lacks. */
const capabilities =
  process.arch === 'x64'
    ? {
        baseline: [],
        avx2: ['-mavx2', '-mfma', '-mf16c'],
        avx512: ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mfma', '-mprefer-vector-width=512'],
      }
    : { baseline: [] };

/**
 * Builds or finds the addon for `libtorch` (of findLibtorch) and records it in build/engine.json.
 * Returns { addon, cached, compiled } (`compiled`: how many objects were made). `native` is the source folder.
 */
export async function buildAddon(
  libtorch,
  { native = join(root, 'native'), record = engineFile, env = process.env } = {},
) {
  const compiler = await findCompiler(env);
  const files = sourceFiles(native);
  const sources = files.filter((file) => file.endsWith('.cc'));
  if (sources.length === 0)
    throw new SetupError(`there are no .cc files in ${native}`, { mend: ['git checkout native'] });

  const flags = compileFlags(libtorch);
  const link = linkFlags(libtorch);
  // Objects know libtorch's contents and not its place, so that two copies of one wheel share them.
  const placeless = flags.join(' ').replaceAll(libtorch.folder, 'LIBTORCH').replaceAll(napiHeaders().folder, 'NAPI');
  const common = [compiler.version, libtorch.identity, napiHeaders().version, placeless];
  const units = sources.flatMap((source) =>
    variants(relative(native, source)).map((own) => ({
      source,
      flags: [...flags, ...own],
      key: hash([
        ...common,
        ...own,
        relative(native, source),
        ...withIncludes(source).map((file) => readFileSync(file)),
      ]),
    })),
  );
  const key = hash([...units.map((unit) => unit.key), link.join(' ')]);
  const addon = join(cacheFolder(env), 'addon', key, 'rae.node');

  const cached = existsSync(addon);
  let compiled = 0;
  if (!cached) {
    const objects = join(cacheFolder(env), 'objects');
    makeFolders([objects, dirname(addon)]);
    compiled = await compileAll(compiler, units, objects, native);
    const inputs = units.map((unit) => join(objects, `${unit.key}.o`));
    await linkAddon(compiler, inputs, link, addon);
    await proveLoads(addon, libtorch);
    pruneObjects(objects);
  }
  const engine = {
    addon,
    libtorch: libtorch.folder,
    torchVersion: libtorch.version,
    how: libtorch.how,
    compiler: compiler.version,
    flags,
  };
  writeIfChanged(record, `${JSON.stringify(engine, null, 2)}\n`);
  return { addon, cached, compiled };
}

/** The compiler by CXX, else g++ or c++, with the first line of its --version. */
export async function findCompiler(env = process.env) {
  const names = env.CXX ? [env.CXX] : ['g++', 'c++'];
  for (const program of names) {
    const result = await run(program, ['--version'], { env });
    if (result.ok) return { program, version: `${result.stdout.split('\n')[0]} ${process.arch}`, env };
  }
  const install =
    process.platform === 'darwin'
      ? 'xcode-select --install'
      : 'sudo apt-get install g++   (Debian, Ubuntu; elsewhere: the package gcc-c++ or g++)';
  throw new SetupError('no C++ compiler found', {
    tried: names.map((name) => `${name} --version`),
    mend: [
      install,
      ...(env.CXX
        ? ['or unset CXX, so that g++ is used']
        : ['or name another compiler with C++20: CXX=clang++ npm run build']),
    ],
  });
}

function compileFlags({ folder, cuda }) {
  const include = join(folder, 'include');
  const flags = ['-std=c++20', '-O2', '-DNDEBUG', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=9', '-Wno-psabi'];
  // at::parallel_for is serial without it. The runtime is libtorch's own, found when the addon is loaded; a second one would start threads of its own.
  if (process.platform === 'linux') flags.push('-fopenmp');
  const headers = cuda && cudaHeaders(folder);
  if (headers) flags.push('-DRAE_CUDA', `-isystem${headers}`);
  // System includes: libtorch's warnings are not ours to read.
  flags.push(`-isystem${include}`, `-isystem${join(include, 'torch', 'csrc', 'api', 'include')}`);
  flags.push(`-isystem${join(napiHeaders().folder, 'include')}`);
  return flags;
}

/** The flags of each object that a source is compiled to. */
function variants(name) {
  if (!/^kernels[\\/]/.test(name)) return [[]];
  return Object.entries(capabilities).map(([capability, own]) => [
    '-fno-math-errno',
    '-fno-trapping-math',
    `-DRAE_CAPABILITY=${capability}`,
    ...own,
  ]);
}

function linkFlags({ folder, cuda }) {
  const lib = join(folder, 'lib');
  const flags = ['-shared', `-L${lib}`, `-Wl,-rpath,${lib}`];
  if (process.platform === 'darwin') flags.push('-undefined', 'dynamic_lookup');
  // Nothing in our objects names libtorch_cuda: without --no-as-needed the linker drops it and no CUDA kernel registers.
  if (cuda) flags.push('-Wl,--no-as-needed', '-ltorch_cuda', '-lc10_cuda', '-Wl,--as-needed');
  return [...flags, '-ltorch_cpu', '-lc10'];
}

/** The folder with cuda_runtime_api.h: beside the wheel's torch (pip's nvidia packages) or CUDA_HOME. */
function cudaHeaders(folder) {
  const nvidia = join(dirname(folder), 'nvidia');
  const inWheels = existsSync(nvidia) ? readdirSync(nvidia).map((name) => join(nvidia, name, 'include')) : [];
  const home = process.env.CUDA_HOME ?? '/usr/local/cuda';
  return [...inWheels, join(home, 'include')].find(
    (path) => existsSync(join(path, 'cuda_runtime_api.h')) && existsSync(join(path, 'crt', 'host_defines.h')),
  );
}

async function compileAll(compiler, units, objects, native) {
  const waiting = units.filter((unit) => !existsSync(join(objects, `${unit.key}.o`)));
  const queue = [...waiting];
  const failures = [];
  const worker = async () => {
    for (let unit = queue.shift(); unit && failures.length === 0; unit = queue.shift()) {
      const object = join(objects, `${unit.key}.o`);
      const temporary = `${object}.${process.pid}.tmp`;
      const result = await run(compiler.program, [...unit.flags, '-c', unit.source, '-o', temporary], {
        env: compiler.env,
      });
      if (result.ok) renameSync(temporary, object);
      else {
        rmSync(temporary, { force: true });
        failures.push({ unit, result });
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  if (failures.length > 0) {
    const { unit, result } = failures[0];
    throw compilerError(
      `${basename(compiler.program)} could not compile native/${relative(native, unit.source)}`,
      result,
    );
  }
  return waiting.length;
}

async function linkAddon(compiler, objects, flags, addon) {
  const temporary = `${addon}.${process.pid}.tmp`;
  const result = await run(compiler.program, ['-o', temporary, ...objects, ...flags], { env: compiler.env });
  if (!result.ok) {
    rmSync(temporary, { force: true });
    throw compilerError(`${basename(compiler.program)} could not link the addon`, result);
  }
  renameSync(temporary, addon);
}

function compilerError(message, { stderr, signal }) {
  const errors = stderr.split('\n').filter((line) => /error|undefined reference|cannot find|No space/.test(line));
  if (/No space left on device/.test(stderr)) {
    return new SetupError('no space left on the disk', {
      tried: [message],
      mend: ['free some space, or use another disk: XDG_CACHE_HOME=/another/disk TMPDIR=/another/disk npm run build'],
    });
  }
  const killed = signal ? [`the compiler was killed (${signal}): out of memory?`] : [];
  return new SetupError(message, {
    tried: [...killed, ...(errors.length > 0 ? errors.slice(0, 12) : tail(stderr, 12))],
    mend: ['a compiler with C++20 is needed (g++ 11 or later): CXX=g++-12 npm run build'],
  });
}

/** Loads the addon in a child process: a libtorch that lacks its own libraries fails here, and not in the user's run. */
async function proveLoads(addon, libtorch) {
  const code = 'process.dlopen({ exports: {} }, process.argv[1])';
  const result = await run(process.execPath, ['-e', code, addon]);
  if (result.ok) return;
  rmSync(addon, { force: true });
  const reason =
    result.stderr.split('\n').find((line) => line.startsWith('Error:')) ??
    tail(result.stderr, 1)[0] ??
    `signal ${result.signal}`;
  throw new SetupError(`the addon was built against ${libtorch.folder} but does not load`, {
    tried: [reason],
    mend: ['install a libtorch of its own: node bin/rae.mjs engine install, or: env -u LIBTORCH npm run build'],
  });
}

/** Where npm put node-api-headers (in a project that depends on rae-ts that need not be below our root), and its version. */
function napiHeaders() {
  try {
    const file = createRequire(import.meta.url).resolve('node-api-headers/package.json');
    return { folder: dirname(file), version: JSON.parse(readFileSync(file, 'utf8')).version };
  } catch {
    throw new SetupError('the package node-api-headers is not installed', { mend: ['npm ci'] });
  }
}

/** All sources and headers under `folder`, sorted. */
function sourceFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => /\.(cc|h|inc)$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** A source and the headers of native/ that it includes, at any depth; libtorch's own are covered by its identity. */
function withIncludes(source, seen = new Set()) {
  if (seen.has(source) || !existsSync(source)) return [];
  seen.add(source);
  const names = [...readFileSync(source, 'utf8').matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)].map((match) => match[1]);
  return [source, ...names.flatMap((name) => withIncludes(join(dirname(source), name), seen))];
}

/** Objects of sources long gone. Addons stay: another clone may be using one. */
function pruneObjects(folder) {
  const oldest = Date.now() - 30 * 24 * 3600 * 1000;
  for (const name of readdirSync(folder)) {
    if (statSync(join(folder, name)).mtimeMs < oldest) rmSync(join(folder, name), { force: true });
  }
}

function makeFolders(folders) {
  for (const folder of folders) {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw explainFileError(error, 'making the cache folder', folder);
    }
  }
}

function hash(parts) {
  const h = createHash('sha256');
  for (const part of parts) h.update(part).update('\0');
  return h.digest('hex').slice(0, 24);
}

function writeIfChanged(file, text) {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}
