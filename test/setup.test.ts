// Every way in which the set-up can fail, provoked with false PATHs, libtorchs and caches: it says what it tried and
// what mends it, exits with 1, and leaves nothing half-made.
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { readEngineRecord } from '../src/binding/load.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'rae-setup-'));
afterAll(() => rmSync(base, { recursive: true }));

let box: string; // a folder for each test: bin/ is its PATH, cache/ its user cache
beforeEach(() => {
  box = mkdtempSync(join(base, 'box-'));
  for (const program of ['node', 'sh', 'cat']) provide(program, realPath(program));
});

function realPath(program: string): string {
  if (program === 'node') return process.execPath;
  return ['/bin', '/usr/bin'].map((folder) => join(folder, program)).find(existsSync) ?? program;
}

function provide(program: string, target: string): void {
  mkdirSync(join(box, 'bin'), { recursive: true });
  symlinkSync(target, join(box, 'bin', program));
}

/** A program of our own: a shell script in the box's PATH. */
function fake(program: string, script: string): void {
  mkdirSync(join(box, 'bin'), { recursive: true });
  writeFileSync(join(box, 'bin', program), `#!/bin/sh\n${script}\n`);
  chmodSync(join(box, 'bin', program), 0o755);
}

/** A python3 that knows no torch; `pip` is what it does on -m pip. */
function fakePython(pip: string): void {
  fake('python3', `if [ "$2" = pip ]; then shift 2\n${pip}\nfi`);
}

/** A folder that looks like a libtorch. */
function fakeLibtorch(version: string, symbols = 'St7__cxx1112basic_string'): string {
  const folder = join(box, 'libtorch');
  const files = {
    'lib/libtorch_cpu.so': '',
    'lib/libc10.so': symbols,
    'include/ATen/ATen.h': '',
    'build-version': version,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

interface Outcome {
  code: number | null;
  text: string;
}

/** Runs the set-up with the box's PATH and cache and nothing else in its environment. */
function setup(env: Record<string, string> = {}, script = 'setup.mjs', clone = root): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(clone, 'scripts', script)], {
      env: { PATH: join(box, 'bin'), HOME: box, XDG_CACHE_HOME: join(box, 'cache'), ...env },
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        text += chunk;
      });
    }
    child.on('error', reject).on('close', (code) => resolve({ code, text }));
  });
}

function expectFailure({ code, text }: Outcome, ...patterns: RegExp[]): void {
  for (const pattern of [...patterns, /^ {2}mend: {2}\S/m]) expect(text).toMatch(pattern);
  expect(text).not.toMatch(/\n\s+at /); // no stack
  expect(code).toBe(1);
}

it('when npm ci fails, its own words are shown; without npm that is said', async () => {
  const clone = join(box, 'clone');
  mkdirSync(clone);
  for (const name of ['scripts', 'package.json', 'package-lock.json']) {
    cpSync(join(root, name), join(clone, name), { recursive: true });
  }
  expectFailure(await setup({}, 'setup.mjs', clone), /there is no npm on the PATH/);
  fake('npm', 'echo "npm error network getaddrinfo ENOTFOUND" >&2; exit 1');
  expectFailure(await setup({}, 'setup.mjs', clone), /npm ci failed/, /ENOTFOUND/, /npm config get registry/);
});

it('a LIBTORCH that is not there is named', async () => {
  expectFailure(await setup({ LIBTORCH: '/nowhere' }), /LIBTORCH=\/nowhere cannot be used: there is no such folder/);
});

it('a libtorch that is too old is named with its version', async () => {
  const LIBTORCH = fakeLibtorch('2.5.1+cpu');
  expectFailure(await setup({ LIBTORCH }), /it is torch 2\.5\.1\+cpu, and 2\.11 to 2\.14 are supported/);
});

it('a libtorch without the C++11 ABI is refused', async () => {
  const LIBTORCH = fakeLibtorch('2.13.0', 'Ss');
  expectFailure(await setup({ LIBTORCH }), /without the C\+\+11 ABI/);
});

it("python3's torch of another version is skipped with a line that says so", async () => {
  const folder = fakeLibtorch('2.4.0');
  fake('python3', `if [ "$2" = pip ]; then echo 'No module named pip' >&2; exit 1; fi\necho ${folder}`);
  expectFailure(await setup(), /skipped python3's torch in .*: it is torch 2\.4\.0/, /python3 has no pip/);
});

it('without python3 the way to get it is named, and LIBTORCH', async () => {
  expectFailure(await setup(), /no python3 to fetch it with/, /apt-get install python3/, /LIBTORCH=/);
});

it('without pip the way to get it is named', async () => {
  fakePython("echo 'No module named pip' >&2; exit 1");
  expectFailure(await setup(), /python3 -m pip --version: No module named pip/, /apt-get install python3-pip/);
});

it('when pip finds no torch, its own words are shown', async () => {
  fakePython(
    '[ "$1" = --version ] && exit 0\necho "ERROR: No matching distribution found for torch==2.13.0" >&2; exit 1',
  );
  const outcome = await setup();
  expectFailure(outcome, /pip offers no torch 2\.13\.0/, /No matching distribution/, /RAE_TORCH_INDEX=/);
  expect(readdirSync(join(box, 'cache/rae-ts/libtorch'))).toEqual([]);
});

it('a pip without --report is told to be upgraded', async () => {
  fakePython('[ "$1" = --version ] && exit 0\necho "no such option: --report" >&2; exit 2');
  expectFailure(await setup(), /pip is older than 22\.2/, /--upgrade pip/);
});

const report = (url: string, requires: string[]) =>
  JSON.stringify({ install: [{ download_info: { url }, metadata: { version: '2.13.0', requires_dist: requires } }] });

it('a disk that fills up during the download is named with its folder', async () => {
  writeFileSync(join(box, 'report.json'), report('https://index.invalid/torch.whl', []));
  fakePython(`case "$1" in
    --version) ;;
    install) cat ${join(box, 'report.json')} ;;
    download) echo "OSError: [Errno 28] No space left on device" >&2; exit 2 ;;
  esac`);
  const outcome = await setup();
  expectFailure(outcome, /190 MB to download, 510 MB on disk/, /no space left on the disk/, /XDG_CACHE_HOME=/);
  expect(readdirSync(join(box, 'cache/rae-ts/libtorch'))).toEqual([]);
});

it('where pip offers a CUDA build alone, its CPU part is announced, and how to make the download small', async () => {
  writeFileSync(join(box, 'report.json'), report('https://index.invalid/torch.whl', ['nvidia-nccl-cu13==2.29.7']));
  fakePython(`case "$1" in
    --version) ;;
    install) cat ${join(box, 'report.json')} ;;
    download) echo "ERROR: connection reset" >&2; exit 1 ;;
  esac`);
  if (existsSync('/dev/nvidia0')) return;
  expectFailure(
    await setup(),
    /CPU part of the CUDA build/,
    /named by RAE_TORCH_INDEX/,
    /tried: ERROR: connection reset/,
  );
});

it('a cache that cannot be written is named', async () => {
  fakePython('exit 0');
  expectFailure(await setup({ XDG_CACHE_HOME: '/dev/null/cache' }), /cannot write to \/dev\/null\/cache\/rae-ts/);
});

it('without a compiler the way to get one is named', async () => {
  const LIBTORCH = readEngineRecord().libtorch;
  const outcome = await setup({ LIBTORCH }, 'build-addon.mjs');
  expectFailure(outcome, /no C\+\+ compiler found/, /tried: g\+\+ --version/, /apt-get install g\+\+/);
});

it('an error of the compiler is shown with its file', async () => {
  const LIBTORCH = readEngineRecord().libtorch;
  fake(
    'g++',
    '[ "$1" = --version ] && echo "g++ 9.1" && exit 0\necho "error: unrecognized option -std=c++20" >&2; exit 1',
  );
  const outcome = await setup({ LIBTORCH }, 'build-addon.mjs');
  expectFailure(
    outcome,
    /g\+\+ could not compile native\/\w+\.cc/,
    /unrecognized option -std=c\+\+20/,
    /g\+\+ 11 or later/,
  );
});
