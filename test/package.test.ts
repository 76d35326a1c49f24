// The package as its users import it: `rae-ts` (a model by its name), `rae-ts/tensor`, `rae-ts/models` and so on, one a folder of src/.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');
const folders = readdirSync(src).filter((name) => existsSync(join(src, name, 'index.ts')));

/** Folders whose index names every file; the others choose what they show. */
const WHOLE = ['inference', 'models', 'losses', 'metrics', 'evaluation', 'train'];

it.each(WHOLE)('the index of %s names each of its files that exports something', (folder) => {
  const index = readFileSync(join(src, folder, 'index.ts'), 'utf8');
  const files = readdirSync(join(src, folder)).filter((name) => /^(?!index|worker).*(?<!\.test)\.ts$/.test(name));
  const forgotten = files.filter(
    (name) => /^export /m.test(readFileSync(join(src, folder, name), 'utf8')) && !index.includes(`'./${name}'`),
  );
  expect(forgotten).toEqual([]);
});

it('every folder with an index can be imported by its name from the built package', () => {
  const names = ['rae-ts', 'rae-ts/errors', ...folders.map((name) => `rae-ts/${name}`)];
  const program = `
    const count = async (name) => Object.keys(await import(name)).length;
    console.log(JSON.stringify(await Promise.all(${JSON.stringify(names)}.map(count))));`;
  const counts = JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' }),
  );
  expect(counts).toHaveLength(names.length);
  expect(counts.every((count: number) => count > 0)).toBe(true);
});
