// Tar shards as webdataset has them: the files of a sample share the name up to its first dot (000123.jpg, 000123.cls); .cls holds a
// label or the name of a class, .json may (label, cls or class). Without either the folders in the archive are the classes. Differs:
// shards are indexed once and then read in any order, so that batches and resuming are those of a folder.

import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { withFile } from '../io/file-reader.ts';
import { tarEntries } from '../io/tar.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { cachedPath } from '../util/cache-folder.ts';
import { makeFolder } from '../util/storage.ts';
import { readRange } from './byte-ranges.ts';
import { classLabels, classNames, folderMarks, type Mark } from './class-labels.ts';
import { imageExtensions, isHidden } from './image-folder.ts';
import type { PictureSet } from './picture-set.ts';

/** One shard's samples, by columns. */
interface ShardIndex {
  names: string[];
  offsets: number[];
  lengths: number[];
  /** null where the sample has neither .cls nor .json with a label. */
  marks: (number | string | null)[];
}

const MAX_LABEL = 1 << 20; // bytes of a .cls or .json file

/** The pictures of these shards, in their order. Class names come from a classes.json beside them. */
export async function tarSet(files: readonly string[]): Promise<PictureSet> {
  const shards = files.map((file) => ({ file, index: cachedIndex(file) }));
  const names = shards.flatMap(({ index }) => index.names);
  const said: Mark[] = shards.flatMap(({ index }) => index.marks.map((mark) => mark ?? undefined));
  const marks = said.every((mark) => mark === undefined) ? folderMarks(names) : said;
  const where = files.length === 1 ? files[0]! : `${dirname(files[0]!)} (${files.length} shards)`;
  const ranges = shards.flatMap(({ file, index: { offsets, lengths } }) =>
    offsets.map((offset, i) => ({ file, offset, length: lengths[i]! })),
  );
  return {
    name: where,
    ...classLabels(marks, { where, names: classNames(join(dirname(files[0]!), 'classes.json')) }),
    describe: (i) => `${ranges[i]!.file}:${names[i]}`,
    encoded: (i) => readRange(ranges[i]!),
  };
}

/** Made once for a shard of this size and time, and kept in the user cache. */
function cachedIndex(file: string): ShardIndex {
  const path = `${cachedPath('tar-index', file)}.json`;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ShardIndex;
  } catch {
    const index = indexShard(file);
    try {
      makeFolder(dirname(path));
      writeFileAtomic(path, JSON.stringify(index));
    } catch {
      // a cache that cannot be written costs the next start some time, no more
    }
    return index;
  }
}

function indexShard(file: string): ShardIndex {
  return withFile(file, (archive) => {
    const index: ShardIndex = { names: [], offsets: [], lengths: [], marks: [] };
    const marks = new Map<string, number | string>();
    for (const { name, offset, size } of tarEntries(archive)) {
      const { key, extension } = sampleName(name);
      if (isHidden(basename(key))) continue;
      if (imageExtensions.some((known) => known === `.${extension}`)) {
        index.names.push(name);
        index.offsets.push(offset);
        index.lengths.push(size);
      } else if ((extension === 'cls' || extension === 'json') && size <= MAX_LABEL) {
        const mark = readMark(new TextDecoder().decode(archive.read(offset, size)), extension);
        if (mark !== undefined) marks.set(key, mark);
      }
    }
    index.marks = index.names.map((name) => marks.get(sampleName(name).key) ?? null);
    return index;
  });
}

/** webdataset's rule: everything up to the first dot of the file's own name is the sample's. */
function sampleName(name: string): { key: string; extension: string } {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  return dot === -1
    ? { key: name, extension: '' }
    : { key: name.slice(0, dot), extension: name.slice(dot + 1).toLowerCase() };
}

function readMark(text: string, extension: 'cls' | 'json'): number | string | undefined {
  if (extension === 'cls') return numberOr(text.trim());
  try {
    const fields = JSON.parse(text) as Record<string, unknown> | null;
    const found = fields?.label ?? fields?.cls ?? fields?.class;
    return typeof found === 'number' || typeof found === 'string' ? found : undefined;
  } catch {
    return undefined; // some other sidecar; captions and the like are none of our business
  }
}

function numberOr(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}
