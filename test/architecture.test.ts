// The arrows point down: the layer table of layers.ts holds for src/, and its judge is itself judged on a made-up tree.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { breaches, importsOf } from './layers.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-layers-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Breaches of a tree given as { path: source }. */
function judged(files: Record<string, string>): string[] {
  const src = mkdtempSync(join(folder, 'src-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(src, name)), { recursive: true });
    writeFileSync(join(src, name), text);
  }
  return breaches(src);
}

it('src keeps to its layers, has no circle, no file over 500 lines and no unknown folder', () => {
  expect(breaches(fileURLToPath(new URL('../src', import.meta.url)))).toEqual([]);
});

it('an import downward by the table, of the own folder and of util is right', () => {
  const tree = {
    'util/check.ts': "import { join } from 'node:path';",
    'tensor/tensor.ts': "import { a } from '../util/check.ts';",
    'nn/deep/linear.ts': "import { b } from '../../tensor/tensor.ts';\nimport c from '../norm.ts';",
    'nn/norm.ts': "import sharp from 'sharp';",
    'index.ts': "export * from './nn/norm.ts';",
  };
  expect(judged(tree)).toEqual([]);
});

it.each([
  [
    'upward',
    'tensor/a.ts',
    "import type { M } from '../nn/module.ts';",
    /tensor\/a\.ts imports upward: nn\/module\.ts/,
  ],
  ['of a peer', 'io/a.ts', "export { M } from '../nn/module.ts';", /io\/a\.ts imports its peer nn\/module\.ts/],
  ['not in the row', 'optim/a.ts', "await import('../binding/load.ts');", /optim may not use binding/],
  ['of a package in util', 'util/a.ts', "import { z } from 'zod';", /util uses node's built-ins only/],
  ['out of src', 'cli/a.ts', "import { x } from '../../scripts/gen.ts';", /outside the layers/],
  ['over several lines', 'io/a.ts', "import {\n  M,\n  N,\n} from '../nn/module.ts';", /imports its peer/],
])('an import %s is found', (_, file, source, message) => {
  expect(judged({ [file]: source })).toEqual([expect.stringMatching(message)]);
});

it('a circle is found and named, unless it is of types only', () => {
  const tree = (word: string) => ({
    'nn/a.ts': "import { b } from './b.ts';",
    'nn/b.ts': "import { c } from './c.ts';",
    'nn/c.ts': `${word} { a } from './a.ts';`,
  });
  expect(judged(tree('import'))).toEqual(['circle: nn/a.ts -> nn/b.ts -> nn/c.ts -> nn/a.ts']);
  expect(judged(tree('import type'))).toEqual([]);
});

it('a long file and an unknown folder are found', () => {
  const long = 'const x = 1;\n'.repeat(501);
  expect(judged({ 'nn/long.ts': long, 'tensor/ops_generated.ts': long })).toEqual([expect.stringMatching(/501 lines/)]);
  expect(judged({ 'helpers/a.ts': '' })).toEqual([expect.stringMatching(/helpers is not in the layer table/)]);
});

it('comments and strings in prose are no imports', () => {
  expect(importsOf("// import x from './x.ts'\n/* import './y.ts' */\nconst s = \"from './z.ts'\";")).toEqual([]);
});
