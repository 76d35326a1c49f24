// The Python that runs PyTorch's side: an environment of its own in the user cache, made on first use, with the torch that the
// engine is pinned to. RAE_BENCH_PYTHON names another python; RAE_TORCH_INDEX, as for the set-up, where pip looks for torch.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scriptsModule } from '../src/cli/scripts.ts';

const TORCH = '2.13.0'; // as scripts/lib/libtorch.mjs

/** Path of a python with torch, numpy and the packages of `also`, of which pip takes versions that go with this torch. `say` hears what is
 * being made and where. */
export async function benchPython(say: (line: string) => void, also: readonly string[] = []): Promise<string> {
  const own = process.env.RAE_BENCH_PYTHON;
  if (own) {
    attempt('RAE_BENCH_PYTHON', own, ['-c', `import torch, numpy; ${finding(also)}`]);
    return own;
  }
  const { cacheFolder } = await scriptsModule('paths');
  const { gpuSeen } = await scriptsModule('install-libtorch');
  const folder = join(cacheFolder(), 'bench', `torch-${TORCH}`);
  const python = join(folder, 'bin', 'python');
  const complete = join(folder, 'complete');
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries=1'];
  const torch = [...torchIndex(gpuSeen()), `torch==${TORCH}`];
  if (existsSync(complete)) {
    if (spawnSync(python, ['-c', finding(also)]).status === 0) return python;
    say(`bench: adding ${also.join(', ')} to ${folder}`);
    attempt(`installing ${also.join(', ')}`, python, [...install, ...torch, ...also]);
    return python;
  }

  say(`bench: making a Python environment with torch ${TORCH} in ${folder} (0.2 GB to download, 0.9 GB on disk)`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  attempt('making the environment', 'python3', ['-m', 'venv', folder]);
  attempt('installing torch', python, [...install, ...torch, 'numpy', ...also]);
  attempt('importing torch', python, ['-c', 'import torch, numpy']);
  writeFileSync(complete, '');
  return python;
}

/** Packages whose module has another name. */
const MODULES: Readonly<Record<string, string>> = { pillow: 'PIL' };

/** Python that fails unless the packages are there; it imports none of them. */
function finding(packages: readonly string[]): string {
  const modules = packages.map((name) => MODULES[name] ?? name.replace(/==.*/, '').replaceAll('-', '_'));
  return `import importlib.util; assert all(importlib.util.find_spec(m) for m in ${JSON.stringify(modules)})`;
}

/** The file of weights that a peer writes under this name, written on first use. */
export async function benchWeights(python: string, peer: string, name: string): Promise<string> {
  const { cacheFolder } = await scriptsModule('paths');
  const file = join(cacheFolder(), 'bench', `${name}.pth`);
  if (existsSync(file)) return file;
  const script = fileURLToPath(new URL(`./peers/${peer}.py`, import.meta.url));
  attempt(`writing weights for ${name}`, python, [script, 'write', name, `${file}.tmp`]);
  renameSync(`${file}.tmp`, file);
  return file;
}

/** Where pip's own index has only the CUDA build (2.6 GB), PyTorch's CPU index offers a later version: 2.13.0+cpu. */
function torchIndex(gpu: boolean): string[] {
  const index = process.env.RAE_TORCH_INDEX;
  if (index && existsSync(index)) return [`--find-links=${index}`];
  if (index) return [`--extra-index-url=${index}`];
  return gpu ? [] : ['--extra-index-url=https://download.pytorch.org/whl/cpu'];
}

function attempt(what: string, program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').slice(-3).join('\n  ');
  throw new Error(
    `bench: ${what}: ${program} ${args.join(' ')} failed:\n  ${reason}\n` +
      'Name a python that has torch and numpy: RAE_BENCH_PYTHON=/path/to/python npm run bench; or an index: RAE_TORCH_INDEX=...',
  );
}
