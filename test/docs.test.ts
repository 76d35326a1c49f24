// What the documents name exists: linked files, the files, classes and functions of the table in docs/architecture.md, the options that the
// README uses, and every dependency with its line.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const filesBelow = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));

it.each([
  'README.md',
  'CONTRIBUTING.md',
  'docs/architecture.md',
  'docs/add-an-encoder.md',
  'docs/log.md',
  'docs/sampling.md',
])('%s links to files that exist', (path) => {
  const targets = [...read(path).matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, target]) => target!);
  const pictures = existsSync(join(root, 'docs', 'images')); // made by the demo; once one is there all must be
  const asked = targets.filter((target) => pictures || !target.endsWith('.png'));
  expect(asked.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([]);
});

const topics = read('docs/architecture.md')
  .split('## From the paper to the code')[1]!
  .split('\n## ')[0]!
  .split('\n')
  .filter((line) => /^\| (\d|appendix|ours)/.test(line))
  .map((line) => line.split('|').map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)));

it('the table from the paper to the code names files that exist', () => {
  expect(topics.length).toBeGreaterThan(30);
  const missing = topics.flatMap(([, , , files = []]) => {
    const folder = dirname(files[0]!);
    const paths = files.map((file) => (/^(src|native)\//.test(file) ? file : join(folder, file)));
    return paths.filter((path) => !existsSync(join(root, path)));
  });
  expect(missing).toEqual([]);
});

it('the table from the paper to the code names classes and functions that are exported', () => {
  const source = filesBelow('src', '.ts').map(read).join('\n');
  const isThere = (name: string) => {
    const [owner = '', method] = name.split('.');
    const found = new RegExp(`export (?:class|(?:async )?function\\*?|const) ${owner}\\b`).test(source);
    return found && (method === undefined || new RegExp(`^  ${method}\\(`, 'm').test(source));
  };
  const samplers = ['euler', 'heun2', 'dopri5'];
  const names = topics.flatMap(([, , , , things = []]) => things).filter((name) => name !== 'samplers/index.ts');
  expect(names).toEqual(expect.arrayContaining(samplers));
  expect(names.filter((name) => !isThere(name))).toEqual([]);
});

it('the README uses options that exist', () => {
  const known = new Set(filesBelow('src/cli', '.ts').flatMap((path) => read(path).match(/--[a-z][a-z-]+/g) ?? []));
  const used = new Set(read('README.md').match(/--[a-z][a-z-]+/g));
  expect([...used].filter((option) => !known.has(option) && option !== '--help')).toEqual([]);
});

it('the README lists every verb', async () => {
  const readme = read('README.md');
  const verbs = [...read('src/cli/main.ts').matchAll(/^ {2}(\w+): \{ help: /gm)].map(([, name]) => name!);
  expect(verbs).toContain('sample');
  expect(verbs.filter((name) => !readme.includes(`| \`rae ${name}`))).toEqual([]);
});

it('every dependency has a line of justification', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const section = read('docs/architecture.md').split('## Dependencies')[1]!.split('\n## ')[0]!;
  const listed = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);
  expect(listed.sort()).toEqual([...Object.keys(dependencies!), ...Object.keys(devDependencies!)].sort());
});
