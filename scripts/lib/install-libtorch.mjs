// Puts a libtorch into the user cache: torch's wheel by pip, or a wheel or folder that the user has.
// Of the wheel only lib/ and include/ are kept. A CUDA wheel on a machine without a GPU gives its CPU part: its
// libtorch_cpu needs two small NVIDIA packages and nothing else, so pip's own index works where no CPU index is named.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspectLibtorch, supported, wheelVersion } from './libtorch.mjs';
import { cacheFolder } from './paths.mjs';
import { explainFileError, run, SetupError, tail } from './shell.mjs';

const MB = 1e6;
/** Download and disk in bytes, measured on torch 2.13 and 2.14 for x86_64: said before a download, and asked of the disk. */
const sizes = {
  cpu: { download: 190 * MB, disk: 510 * MB },
  'cpu-part': { download: 580 * MB, disk: 560 * MB },
  cuda: { download: 2600 * MB, disk: 4300 * MB },
};

/** Whether the NVIDIA driver shows a device. */
export const gpuSeen = () => existsSync('/dev/nvidia0') || existsSync('/dev/dxg');

/**
 * Installs libtorch into the user cache and returns its folder. `from` is a wheel or a folder (undefined: pip);
 * `cuda` true demands a CUDA build, undefined takes one where a GPU is seen and pip offers it.
 */
export async function installLibtorch({ from, cuda, env = process.env, say = console.log } = {}) {
  const base = join(cacheFolder(env), 'libtorch');
  return inTemporary(base, async (temporary) => {
    if (from && existsSync(from) && statSync(from).isDirectory() && !wheelIn(from)) return useFolder(from, temporary);
    const python = await findPython(env, cacheFolder(env));
    const wheel = from ? await ownWheel(python, from) : await askPip(python);
    const kind = wheel.cudaNeeds.length === 0 ? 'cpu' : (cuda ?? gpuSeen()) ? 'cuda' : 'cpu-part';
    if (cuda && kind === 'cpu') throw noCuda(wheel);
    sayPlan(kind, wheel, base, say);
    const file = wheel.file ?? (await download(python, wheel, temporary));
    await unpack(python, file, kind, temporary);
    if (wheel.file === undefined) rmSync(file);
    await addNvidia(python, kind, wheel, temporary);
    await prove(python, kind, join(temporary, 'torch'));
    return kind;
  });
}

/** Runs `fill` on a temporary folder and renames it to `<version>[-kind]` when complete; half-made ones of dead processes go. */
async function inTemporary(base, fill) {
  const temporary = join(base, `.tmp-${process.pid}`);
  try {
    mkdirSync(base, { recursive: true });
    for (const name of readdirSync(base)) if (isStale(name)) rmSync(join(base, name), { recursive: true, force: true });
    mkdirSync(temporary);
    const kind = await fill(temporary);
    const found = inspectLibtorch(join(temporary, 'torch'));
    if (found.problem)
      throw new SetupError(`the libtorch cannot be used: ${found.problem}`, {
        mend: [`take one of torch 2.${supported.min} to 2.${supported.max}`],
      });
    writeFileSync(join(temporary, 'complete.json'), `${JSON.stringify({ version: found.version, kind })}\n`);
    const target = join(base, kind === 'cpu' || kind === 'cuda' ? found.version : `${found.version}-${kind}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
    return join(target, 'torch');
  } catch (error) {
    throw error instanceof SetupError ? error : explainFileError(error, 'installing libtorch', base);
  } finally {
    if (existsSync(temporary)) rmSync(temporary, { recursive: true });
  }
}

function isStale(name) {
  const pid = Number(name.match(/^\.tmp-(\d+)$/)?.[1]);
  if (!pid || pid === process.pid) return pid === process.pid;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function useFolder(from, temporary) {
  const folder = [from, join(from, 'torch')].find((path) => !inspectLibtorch(path).problem);
  if (!folder) {
    throw new SetupError(`${from} holds no libtorch that can be used: ${inspectLibtorch(from).problem}`, {
      mend: ['name a folder with lib/ and include/, or a torch-*.whl file'],
    });
  }
  symlinkSync(resolve(folder), join(temporary, 'torch'));
  return 'linked';
}

const wheelIn = (folder) => readdirSync(folder).find((name) => /^torch-.*\.whl$/.test(name));

async function ownWheel(python, from) {
  const file = existsSync(from) && statSync(from).isDirectory() ? join(from, wheelIn(from)) : from;
  if (!existsSync(file) || !/^torch-.*\.whl$/.test(basename(file))) {
    throw new SetupError(`--from ${from}: expected a torch-*.whl file or a folder`, { mend: ['check the path'] });
  }
  const code = [
    'import sys, zipfile',
    'archive = zipfile.ZipFile(sys.argv[1])',
    "print(next(archive.read(n).decode() for n in archive.namelist() if n.endswith('.dist-info/METADATA')))",
  ].join('\n');
  const result = await python.call(['-c', code, file]);
  if (!result.ok) throw new SetupError(`${file} is no wheel that can be read`, { tried: tail(result.stderr, 1) });
  const requirements = [...result.stdout.matchAll(/^Requires-Dist: (.*)$/gm)].map((match) => match[1]);
  return { file, version: basename(file).split('-')[1], cudaNeeds: nvidiaPackages(requirements) };
}

/** python3 with pip; `pip(args)` runs it without a cache of its own and with its temporary files in ours. */
async function findPython(env, cache) {
  const ways = ['or name a libtorch that you have: LIBTORCH=/path/to/libtorch npm run build'];
  const quiet = {
    ...env,
    PYTHONDONTWRITEBYTECODE: '1',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_CACHE_DIR: '1',
    PIP_NO_INPUT: '1',
    PIP_ROOT_USER_ACTION: 'ignore',
  };
  const version = await run('python3', ['-m', 'pip', '--version'], { env: quiet });
  if (version.missing) {
    throw new SetupError('no libtorch found, and no python3 to fetch it with', {
      tried: ['LIBTORCH, the user cache, python3'],
      mend: ["sudo apt-get install python3 python3-pip   (or your system's own way)", ...ways],
    });
  }
  if (!version.ok) {
    throw new SetupError('no libtorch found, and python3 has no pip to fetch it with', {
      tried: [
        "LIBTORCH, the user cache, python3's torch",
        `python3 -m pip --version: ${tail(version.stderr, 1)[0] ?? 'failed'}`,
      ],
      mend: ['sudo apt-get install python3-pip   (or: python3 -m ensurepip --user)', ...ways],
    });
  }
  const temporary = join(cache, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const call = (args) => run('python3', args, { env: { ...quiet, TMPDIR: temporary } });
  return {
    call,
    pip: (args) => call(['-m', 'pip', ...args]),
    version: version.stdout.trim(),
    index: env.RAE_TORCH_INDEX,
  };
}

/** What pip would install for torch==2.13.0: { url, version, file?, cudaNeeds, select }; nothing is downloaded yet. */
async function askPip(python) {
  const index = indexArguments(python.index);
  const platform = `manylinux_2_28_${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;
  // The second way is for a python3 that torch has no wheel for: any wheel's libraries serve, they hold no Python.
  const ways = [[], ['--only-binary=:all:', '--implementation=cp', '--python-version=3.12', `--platform=${platform}`]];
  const tried = [python.version];
  for (const way of process.platform === 'linux' ? ways : ways.slice(0, 1)) {
    const select = [...way, ...index, '--no-deps'];
    const args = [
      'install',
      '--dry-run',
      '--quiet',
      '--ignore-installed',
      '--target=unused',
      '--report=-',
      ...select,
      `torch==${wheelVersion}`,
    ];
    const result = await python.pip(args);
    if (result.ok) return { ...readReport(result.stdout), select };
    tried.push(`pip ${[...way, ...index].join(' ')} torch==${wheelVersion}: ${tail(result.stderr, 1)[0] ?? 'failed'}`);
    if (/no such option/.test(result.stderr)) {
      throw new SetupError('pip is older than 22.2', { tried, mend: ['python3 -m pip install --upgrade pip'] });
    }
  }
  throw new SetupError(`pip offers no torch ${wheelVersion}`, {
    tried,
    mend: [
      "check the network and pip's configuration: python3 -m pip config list",
      'or name an index or a folder of wheels: RAE_TORCH_INDEX=... npm run build',
      'or name a libtorch that you have: LIBTORCH=/path/to/libtorch npm run build',
    ],
  });
}

function indexArguments(index) {
  if (!index) return [];
  return existsSync(index) ? ['--no-index', `--find-links=${resolve(index)}`] : [`--index-url=${index}`];
}

function readReport(stdout) {
  const { download_info: info, metadata } = JSON.parse(stdout.slice(stdout.indexOf('{'))).install[0];
  const file = info.url.startsWith('file:') ? fileURLToPath(info.url) : undefined;
  return { url: info.url, version: metadata.version, file, cudaNeeds: nvidiaPackages(metadata.requires_dist ?? []) };
}

/** The NVIDIA packages among a wheel's requirements; cudart's headers need those of `crt`, which torch does not ask for. */
function nvidiaPackages(requirements) {
  return requirements
    .filter((line) => /^(nvidia-|cuda-toolkit)/.test(line) && !/extra ==/.test(line))
    .map((line) =>
      line
        .split(';')[0]
        .trim()
        .replace(/^cuda-toolkit\[/, 'cuda-toolkit[crt,'),
    );
}

function sayPlan(kind, wheel, base, say) {
  const { download: bytes, disk } = sizes[kind];
  const size = wheel.file ? statSync(wheel.file).size : bytes;
  const what = { cpu: 'CPU build', 'cpu-part': 'CPU part of the CUDA build', cuda: 'CUDA build' }[kind];
  const source = wheel.file ? `${wheel.file} (${megabytes(size)})` : `by pip, ${megabytes(size)} to download`;
  say(`  libtorch     torch ${wheel.version}, ${what}, ${source}, ${megabytes(disk)} on disk in ${base}`);
  if (kind === 'cpu-part' && !wheel.file) {
    say(
      '               (pip offers no CPU build: an index of such, named by RAE_TORCH_INDEX, makes the download 190 MB)',
    );
  }
  const { bavail, bsize } = statfsSync(base);
  const needed = disk + (wheel.file ? 0 : size);
  if (bavail * bsize < needed) {
    throw new SetupError(
      `not enough space for libtorch: ${megabytes(bavail * bsize)} free, ${megabytes(needed)} needed in ${base}`,
      {
        mend: ['free some space, or use another disk: XDG_CACHE_HOME=/another/disk npm run build'],
      },
    );
  }
}

const megabytes = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / MB)} MB`);

async function download(python, wheel, temporary) {
  const args = ['download', '--quiet', `--dest=${temporary}`, ...wheel.select, `torch==${wheel.version}`];
  const result = await python.pip(args);
  const name = result.ok && wheelIn(temporary);
  if (name) return join(temporary, name);
  throw pipFailed(`pip download torch==${wheel.version}`, result, temporary);
}

/** Only what the addon needs: libraries and headers; of a CUDA wheel's CPU part not the CUDA libraries. */
async function unpack(python, file, kind, temporary) {
  const skip = kind === 'cpu-part' ? '(cuda|nvshmem|python)' : '(libtorch_python)';
  const code = [
    'import re, sys, zipfile',
    'archive, folder, skip = zipfile.ZipFile(sys.argv[1]), sys.argv[2], re.compile(sys.argv[3])',
    "keep = lambda n: n.startswith('torch/include/') or n == 'torch/version.py' or (n.startswith('torch/lib/') and not skip.search(n))",
    'archive.extractall(folder, [n for n in archive.namelist() if keep(n)])',
  ].join('\n');
  const result = await python.call(['-c', code, file, temporary, skip]);
  if (!result.ok) throw pipFailed(`unpacking ${basename(file)}`, result, temporary);
}

async function addNvidia(python, kind, wheel, temporary) {
  if (kind === 'cpu') return;
  const all = wheel.cudaNeeds;
  // libtorch_cpu of a CUDA build needs libcudart and libcupti (its profiler); nothing else.
  const needed =
    kind === 'cuda'
      ? all
      : all.filter((name) => name.startsWith('cuda-toolkit')).map((name) => name.replace(/\[.*\]/, '[cudart,cupti]'));
  if (needed.length === 0) return;
  const index = indexArguments(python.index);
  const result = await python.pip([
    'install',
    '--quiet',
    '--ignore-installed',
    `--target=${temporary}`,
    ...index,
    ...needed,
  ]);
  if (!result.ok) throw pipFailed(`pip install ${needed.join(' ')}`, result, temporary);
}

/** Opens the libraries as the addon will: what `--no-deps` left out shows here, by name. */
async function prove(python, kind, torch) {
  const names = kind === 'cuda' ? ['libtorch_cpu', 'libtorch_cuda'] : ['libtorch_cpu'];
  const extension = process.platform === 'darwin' ? 'dylib' : 'so';
  const files = names.map((name) => join(torch, 'lib', `${name}.${extension}`));
  const result = await python.call(['-c', 'import ctypes, sys\nfor f in sys.argv[1:]: ctypes.CDLL(f)', ...files]);
  if (result.ok) return;
  throw new SetupError('the libtorch that was fetched does not load', {
    tried: tail(result.stderr, 1),
    mend: [
      'use another: node bin/rae.mjs engine install --from WHEEL_OR_FOLDER, or LIBTORCH=/path/to/libtorch npm run build',
    ],
  });
}

function pipFailed(what, result, folder) {
  if (/No space left|ENOSPC|Errno 28/.test(result.stderr))
    return explainFileError({ code: 'ENOSPC', message: 'disk full' }, what, folder);
  return new SetupError(`${what} failed`, {
    tried: tail(result.stderr, 3),
    mend: [
      'check the network, then again: npm run build',
      'or name an index or a folder of wheels: RAE_TORCH_INDEX=... npm run build',
    ],
  });
}

function noCuda(wheel) {
  return new SetupError(`pip offers torch ${wheel.version}, which is no CUDA build`, {
    mend: [
      'name an index of CUDA builds: RAE_TORCH_INDEX=... node bin/rae.mjs engine install --cuda',
      'or give a wheel: node bin/rae.mjs engine install --cuda --from torch-*.whl',
    ],
  });
}
