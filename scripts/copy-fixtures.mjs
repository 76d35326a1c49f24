// Copies the smallest entry of every kind from a fixtures folder into test/golden/fixtures, with manifests trimmed to match.
// An entry's size counts everything it names: its file, files and folders of its area mentioned in it, other entries it builds on.
// Kinds whose smallest entry is over 1 MB stay out; the whole copy may be 8 MB at most (10^6 bytes). `also` names what tests of
// the command line use besides: one whole model in the reference's layout.
//
//   node scripts/copy-fixtures.mjs ../shared/fixtures

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const MB = 1e6;
const source = process.argv[2];
if (!source || !existsSync(source)) {
  console.error('copy-fixtures: expected a fixtures folder. Usage: node scripts/copy-fixtures.mjs FOLDER');
  process.exit(2);
}
const target = join(dirname(fileURLToPath(import.meta.url)), '..', 'test', 'golden', 'fixtures');

/** Entries and files that are copied although they are not the smallest. */
const also = {
  formats: {
    entries: ['configs-tiny.yaml', 'official-model.pt', 'official-rae-forward', 'official-stage2-forward'],
    paths: ['official/stage2_model.pt', 'official/normalization_stats.pt'],
  },
};

/** Every string anywhere inside a JSON value. */
function* strings(value) {
  if (typeof value === 'string') yield value;
  else if (value && typeof value === 'object') for (const child of Object.values(value)) yield* strings(child);
}

/** Bytes of a file, or of all files below a folder. */
function size(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + size(join(path, name)), 0);
}

/** Copies a file or a folder; the copies are writable whatever the source's mode. */
function copy(from, to) {
  if (statSync(from).isDirectory()) {
    for (const name of readdirSync(from)) copy(join(from, name), join(to, name));
  } else {
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, readFileSync(from));
  }
}

/** Paths, relative to the area's folder, that an entry needs; entries that it names are followed. */
function closure(area, entry, byName, seen = new Set()) {
  if (seen.has(entry.name)) return { paths: new Set(), entries: seen };
  seen.add(entry.name);
  const paths = new Set();
  for (const text of strings({ ...entry, name: '', kind: '', what: '', notes: '' })) {
    if (text.length > 200 || text.startsWith('/') || normalize(text).startsWith('..') || normalize(text) === '.')
      continue;
    const other = byName.get(text);
    if (other) for (const path of closure(area, other, byName, seen).paths) paths.add(path);
    if (existsSync(join(source, area, text)) && text !== 'manifest.json') paths.add(normalize(text));
  }
  return { paths, entries: seen };
}

rmSync(target, { recursive: true, force: true });
let total = 0;
const areas = readdirSync(source).filter((name) => existsSync(join(source, name, 'manifest.json')));
for (const area of areas.sort()) {
  const manifest = JSON.parse(readFileSync(join(source, area, 'manifest.json'), 'utf8'));
  const byName = new Map(manifest.fixtures.map((entry) => [entry.name, entry]));
  const smallest = new Map();
  for (const entry of manifest.fixtures) {
    const needs = closure(area, entry, byName);
    const bytes = [...needs.paths].reduce(
      (sum, path) => sum + size(join(source, area, path)),
      JSON.stringify(entry).length,
    );
    const best = smallest.get(entry.kind);
    if (!best || bytes < best.bytes) smallest.set(entry.kind, { bytes, ...needs });
  }
  const chosen = new Set();
  for (const [kind, { bytes, paths, entries }] of smallest) {
    if (bytes > MB) {
      console.log(`${area}/${kind}: left out, its smallest entry has ${(bytes / MB).toFixed(2)} MB`);
      continue;
    }
    for (const name of entries) chosen.add(name);
    for (const path of paths) {
      copy(join(source, area, path), join(target, area, path));
    }
  }
  const { entries: named = [], paths: files = [] } = also[area] ?? {};
  for (const name of named) {
    const { paths, entries } = closure(area, byName.get(name), byName);
    for (const entry of entries) chosen.add(entry);
    for (const path of paths) copy(join(source, area, path), join(target, area, path));
  }
  for (const path of files) copy(join(source, area, path), join(target, area, path));
  mkdirSync(join(target, area), { recursive: true });
  const trimmed = { ...manifest, fixtures: manifest.fixtures.filter((entry) => chosen.has(entry.name)) };
  writeFileSync(
    join(target, area, 'manifest.json'),
    `${JSON.stringify(trimmed).replaceAll('{"name":', '\n{"name":')}\n`,
  );
  const bytes = size(join(target, area));
  console.log(`${area}: ${chosen.size} of ${manifest.fixtures.length} entries, ${(bytes / MB).toFixed(2)} MB`);
  total += bytes;
}
console.log(`together ${(total / MB).toFixed(2)} MB in ${target}`);
if (total > 8 * MB) {
  console.error('copy-fixtures: expected at most 8 MB. Lower the limit of one entry.');
  process.exit(1);
}
