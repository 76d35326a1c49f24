// Runs a snippet in a process of its own: what may crash, exit or take a signal must not take the test runner with it.
// The snippet is a JavaScript module; `t` is the tensor library, `addon` its native functions, `said(f)` writes the result or the error.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const at = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

const prelude = `
import * as t from ${at('src/tensor/index.ts')};
import { native } from ${at('src/binding/load.ts')};
t.versions();
const addon = native();
const say = (...words) => process.stdout.write(words.join(' ') + '\\n');
const said = (f) => { try { say(f()); } catch (e) { say(e.constructor.name + ': ' + e.message); } };
`;

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Lines written to standard output. */
  out: string[];
  err: string;
}

/** Starts the snippet; `ended` settles when the process is gone. */
export function start(snippet: string): { child: ChildProcess; ended: Promise<Ending> } {
  const flags = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', prelude + snippet];
  const child = spawn(process.execPath, flags, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const ended = new Promise<Ending>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out: out.split('\n').filter(Boolean), err }));
  });
  return { child, ended };
}

/** Runs the snippet to its end. */
export function inChild(snippet: string): Promise<Ending> {
  return start(snippet).ended;
}
