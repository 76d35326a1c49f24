// Runs the fixtures' manifests: one test per entry, dispatched on its `kind`. `RAE_FIXTURES=DIR` runs another folder of the same format.
// Entries name photographs and weights that are not part of the fixtures; where those are absent the entry skips and says so.

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, type TestContext, test } from 'vitest';
import { loadSafetensors } from '../../src/io/safetensors.ts';
import { keep, type Tensor } from '../../src/tensor/index.ts';
import { pending } from './pending.ts';
import { expectClose, type Limits, limitsFor, type Tolerance } from './tolerance.ts';

export { expectClose, type Limits, limitsFor, type Tolerance };

const repository = resolve(import.meta.dirname, '..', '..');

/** Folder of the fixtures: RAE_FIXTURES, else the smallest entries that the repository holds. */
export const root = resolve(process.env.RAE_FIXTURES ?? join(repository, 'test', 'golden', 'fixtures'));

if (!existsSync(root))
  throw new Error(`RAE_FIXTURES: expected a folder of fixtures, received '${root}', which does not exist.`);

/** Folder that holds clothing/ and weights/: RAE_DATA, else `data` beside the fixtures, else ../shared/data. */
const dataRoots = [process.env.RAE_DATA, join(root, '..', 'data'), join(repository, '..', 'shared', 'data')];

export interface Entry {
  area: string;
  /** Absolute folder of the area. */
  dir: string;
  name: string;
  kind: string;
  what: string;
  file: string | null;
  config: Record<string, unknown>;
  tolerance: Tolerance;
  notes?: string;
  expected?: Record<string, unknown>;
}

export type Kinds = Record<string, (entry: Entry, fixture: Fixture) => void | Promise<void>>;

class Skip extends Error {}

/** Leaves the running entry out and says why. */
export function skip(reason: string): never {
  throw new Skip(reason);
}

/** The stored tensors of one entry, read when first asked for and freed after its test. */
export class Fixture {
  readonly entry: Entry;
  #tensors: Map<string, Tensor> | undefined;

  constructor(entry: Entry) {
    this.entry = entry;
  }

  /** Absolute path of the entry's file. */
  get path(): string {
    if (!this.entry.file) throw new Error(`${this.entry.name}: the entry has no file`);
    return join(this.entry.dir, this.entry.file);
  }

  /** The entry's file as JSON. */
  json<T>(): T {
    return JSON.parse(readFileSync(this.path, 'utf8')) as T;
  }

  /** The tensor of this full name, for example `outputs/v`. The harness frees it: clone what must live on. */
  get(name: string): Tensor {
    const tensor = this.#all().get(name);
    if (!tensor) throw new Error(`${this.entry.name}: no tensor '${name}'; there are ${this.names().join(', ')}`);
    return tensor;
  }

  has(name: string): boolean {
    return this.#all().has(name);
  }

  names(): string[] {
    return [...this.#all().keys()];
  }

  /** The tensors below `prefix` (`weights/`, or `weights/main/`), the prefix cut off. */
  group(prefix: string): Map<string, Tensor> {
    const start = prefix.endsWith('/') ? prefix : `${prefix}/`;
    const found = new Map<string, Tensor>();
    for (const [name, tensor] of this.#all()) if (name.startsWith(start)) found.set(name.slice(start.length), tensor);
    return found;
  }

  /** Compares with the stored tensor of this name under the entry's own tolerance for it. */
  expectClose(name: string, actual: Tensor | number): void {
    expectClose(actual, this.get(name), limitsFor(this.entry.tolerance, name), `${this.entry.name} ${name}`);
  }

  /** The fixture of another entry of the same area (`weights_from`). The caller disposes it. */
  sibling(name: string): Fixture {
    const found = readManifest(this.entry.area)?.find((entry) => entry.name === name);
    return found ? new Fixture(found) : skip(`the entry '${name}' that it builds on is not in this folder`);
  }

  dispose(): void {
    for (const tensor of this.#tensors?.values() ?? []) if (!tensor.disposed) tensor.dispose();
    this.#tensors = undefined;
  }

  #all(): Map<string, Tensor> {
    if (!this.#tensors) {
      this.#tensors = loadSafetensors(this.path);
      for (const tensor of this.#tensors.values()) keep(tensor); // a test may ask inside tidy()
    }
    return this.#tensors;
  }
}

/** Path of a file of the data folder (`clothing/test/hat/....jpg`, `weights/....safetensors`; a leading `shared/data/` is cut), if it is there. */
export function dataFile(relative: string): string | undefined {
  const name = relative.replace(/^(\.\.\/)?(shared\/)?data\//, '');
  return dataRoots.flatMap((folder) => (folder ? [join(folder, name)] : [])).find(existsSync);
}

/** Path of a photograph named relative to `data/clothing` (or to `data`), if it is there. */
export function photo(relative: string): string | undefined {
  return dataFile(relative) ?? dataFile(join('clothing', relative));
}

/** Like `dataFile`, but the entry skips where the file is absent. */
export function requireData(relative: string): string {
  return dataFile(relative) ?? skip(`needs ${relative}; set RAE_DATA to the folder that holds it`);
}

/** Declares one test for each entry of an area. Give every kind of the area that is implemented; the others must be in pending.ts. */
export function runArea(area: string, kinds: Kinds): void {
  describe(`golden/${area}`, () => {
    const entries = readManifest(area);
    if (!entries) {
      test.skip(`no folder '${area}' in ${root}`, () => {});
      return;
    }
    const waiting = pending[area] ?? {};
    for (const kind of Object.keys(kinds).filter((name) => name in waiting)) {
      test(`${kind} is handled, so it is not pending`, () => {
        throw new Error(`take '${kind}' of area '${area}' off test/golden/pending.ts`);
      });
    }
    for (const entry of entries) {
      const run = kinds[entry.kind];
      const title = `${entry.kind}: ${entry.name}`;
      if (run) test(title, (context) => runEntry(entry, run, context));
      else if (entry.kind in waiting) test.skip(`${title} (waits for ${waiting[entry.kind]})`, () => {});
      else {
        test(title, () => {
          throw new Error(
            `no golden test handles the kind '${entry.kind}' of area '${area}', and pending.ts does not list it`,
          );
        });
      }
    }
  });
}

async function runEntry(entry: Entry, run: Kinds[string] & {}, context: TestContext): Promise<void> {
  const fixture = new Fixture(entry);
  try {
    if (entry.file && !existsSync(fixture.path)) skip(`its file ${entry.file} is not in this folder`);
    await run(entry, fixture);
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
    context.skip(error.message);
  } finally {
    fixture.dispose();
  }
}

const manifests = new Map<string, Entry[] | undefined>();

/** Fixtures made by own/make.py, for what the reference does not have: they run whatever RAE_FIXTURES names. */
const own = join(repository, 'test', 'golden', 'own');

/** The entries of an area, parsed once; undefined where there are none. */
export function readManifest(area: string): Entry[] | undefined {
  if (!manifests.has(area)) {
    const found = [root, own].flatMap((folder) => {
      const dir = join(folder, area);
      const file = join(dir, 'manifest.json');
      if (!existsSync(file)) return [];
      const { fixtures } = JSON.parse(readFileSync(file, 'utf8')) as { fixtures: Entry[] };
      return fixtures.map((entry) => ({ ...entry, area, dir }));
    });
    manifests.set(area, found.length > 0 ? found : undefined);
  }
  return manifests.get(area);
}
