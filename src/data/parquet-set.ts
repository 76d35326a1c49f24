// Parquet files as Hugging Face's image sets have them: a column of pictures (bytes, or a struct with bytes and path) and one of labels,
// whose class names stand in the file's metadata. A parquet file can only be read a row group at a time, some hundred pictures at once,
// so its pictures are unpacked once into the user cache and from there read in any order, as those of a folder are.

import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { AsyncBuffer, FileMetaData, SchemaElement } from 'hyparquet';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { cachedPath } from '../util/cache-folder.ts';
import { DataError, StorageError } from '../util/errors.ts';
import { bytes as size } from '../util/format.ts';
import { log } from '../util/log.ts';
import { makeFolder, storageError } from '../util/storage.ts';
import { readRange } from './byte-ranges.ts';
import { classLabels, type Mark, nameOfFiles } from './class-labels.ts';
import type { PictureSet } from './picture-set.ts';

/** An unpacked file: its pictures one behind the other in `pictures.bin`. */
interface Pack {
  classes: string[] | undefined;
  lengths: number[];
  marks: (number | string | null)[];
}

const PICTURE_COLUMNS = ['image', 'img', 'jpg', 'png', 'picture', 'pixel_values'];
const LABEL_COLUMNS = ['label', 'labels', 'cls', 'class', 'fine_label', 'target'];

/** The pictures of the files, in their order. DataError when one has no column of pictures, or cannot be unpacked. */
export async function parquetSet(files: readonly string[]): Promise<PictureSet> {
  const packs: { file: string; folder: string; pack: Pack }[] = [];
  for (const file of files) packs.push({ file, ...(await unpacked(file)) });
  const ranges = packs.flatMap(({ folder, pack }) => {
    let end = 0;
    return pack.lengths.map((length) => {
      end += length;
      return { file: join(folder, 'pictures.bin'), offset: end - length, length };
    });
  });
  const names = packs.flatMap(({ file, pack }) => pack.lengths.map((_, row) => `${file}:${row}`));
  const marks = packs.flatMap(({ pack }) => pack.marks.map((mark): Mark => mark ?? undefined));
  const where = nameOfFiles(files);
  return {
    name: where,
    ...classLabels(marks, { where, names: packs[0]!.pack.classes }),
    describe: (i) => names[i]!,
    encoded: (i) => readRange(ranges[i]!),
  };
}

/** Made once for a file of this size and time. */
async function unpacked(file: string): Promise<{ folder: string; pack: Pack }> {
  const folder = cachedPath('parquet', file);
  const index = join(folder, 'index.json');
  if (existsSync(index)) return { folder, pack: JSON.parse(readFileSync(index, 'utf8')) as Pack };
  const fresh = `${folder}.${randomUUID()}`;
  try {
    makeFolder(fresh);
    log.info(`${file}: unpacking ${size(statSync(file).size)} once, into ${folder}`);
    const pack = await unpack(file, join(fresh, 'pictures.bin'));
    writeFileSync(join(fresh, 'index.json'), JSON.stringify(pack));
    if (!existsSync(index)) renameSync(fresh, folder);
    return { folder, pack };
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const error = storageError(folder, cause);
    const [why, next] =
      error instanceof StorageError
        ? [`${folder}: ${error.reason}`, ' Another disk: XDG_CACHE_HOME=/another/disk.']
        : [(error as Error).message, ''];
    throw new DataError(`${file}: cannot be unpacked (${why}).${next}`, { cause });
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

async function unpack(file: string, into: string): Promise<Pack> {
  const source = await asyncBufferFromFile(file);
  const metadata = await readMetadata(file, source);
  const picture = findColumn(metadata, PICTURE_COLUMNS);
  if (picture === undefined) {
    throw new DataError(
      `${file}: expected a column of pictures (${PICTURE_COLUMNS.join(', ')}), received the columns ${columnsOf(metadata).join(', ')}.`,
    );
  }
  const label = findColumn(metadata, LABEL_COLUMNS);
  const pack: Pack = { classes: label === undefined ? undefined : namesOf(metadata, label), lengths: [], marks: [] };
  const out = openSync(into, 'w');
  try {
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const columns = label === undefined ? [picture] : [picture, label];
      const rows = await parquetReadObjects({
        file: source,
        metadata,
        compressors,
        utf8: false,
        columns,
        rowStart,
        rowEnd,
      });
      for (const [i, row] of rows.entries()) {
        const encoded = pictureBytes(row[picture]);
        if (!encoded)
          throw new DataError(
            `${file}: row ${rowStart + i}: expected the bytes of a picture in '${picture}', received ${describe(row[picture])}.`,
          );
        writeSync(out, encoded);
        pack.lengths.push(encoded.length);
        pack.marks.push(label === undefined ? null : markOf(row[label]));
      }
      rowStart = rowEnd;
    }
  } finally {
    closeSync(out);
  }
  return pack;
}

async function readMetadata(file: string, source: AsyncBuffer): Promise<FileMetaData> {
  try {
    return await parquetMetadataAsync(source);
  } catch (cause) {
    throw new DataError(`${file}: expected a parquet file, received something else or one that is cut off.`, { cause });
  }
}

/** The names of the top-level columns. */
function columnsOf({ schema }: FileMetaData): string[] {
  const names: string[] = [];
  for (let i = 1; i < schema.length; i += span(schema, i)) names.push(schema[i]!.name);
  return names;
}

/** How many elements of the flattened schema a column takes, with those below it. */
function span(schema: readonly SchemaElement[], at: number): number {
  let taken = 1;
  for (let child = 0; child < (schema[at]?.num_children ?? 0); child++) taken += span(schema, at + taken);
  return taken;
}

function findColumn(metadata: FileMetaData, known: readonly string[]): string | undefined {
  const names = columnsOf(metadata);
  return known.find((name) => names.includes(name));
}

/** Class names as the `datasets` library stores them. */
function namesOf(metadata: FileMetaData, column: string): string[] | undefined {
  const text = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return undefined;
  try {
    const names: unknown = JSON.parse(text)?.info?.features?.[column]?.names;
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
  } catch {
    return undefined;
  }
}

function pictureBytes(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  const inner = (value as { bytes?: unknown } | null)?.bytes;
  return inner instanceof Uint8Array ? inner : undefined;
}

function markOf(value: unknown): number | string | null {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' || typeof value === 'string' ? value : null;
}

function describe(value: unknown): string {
  return value === null || value === undefined ? 'nothing' : typeof value;
}
