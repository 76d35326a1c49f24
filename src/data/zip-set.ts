// Pictures of a zip archive, in the order of their names; folders in it are classes, as in a folder of pictures.

import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import { withFile } from '../io/file-reader.ts';
import { ZipReader } from '../io/zip.ts';
import { DataError } from '../util/errors.ts';
import { type ByteRange, readRange } from './byte-ranges.ts';
import { classLabels, folderMarks, nameOfFiles } from './class-labels.ts';
import { isHidden, isPicture } from './image-folder.ts';
import type { PictureSet } from './picture-set.ts';

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(inflateRaw);
const MAX_PICTURE = 1 << 30; // bytes that one picture may inflate to

/** The pictures of the archives. DataError when one is damaged. */
export async function zipSet(files: readonly string[]): Promise<PictureSet> {
  const found = files.flatMap(picturesOf);
  const where = nameOfFiles(files);
  const marks = folderMarks(found.map(({ name }) => name));
  return {
    name: where,
    ...classLabels(marks, { where }),
    describe: (i) => `${found[i]!.file}:${found[i]!.name}`,
    encoded: (i) => unpacked(found[i]!),
  };
}

interface ZippedPicture extends ByteRange {
  name: string;
  deflated: boolean;
  size: number;
  crc: number;
}

function picturesOf(file: string): ZippedPicture[] {
  return withFile(file, (source) => {
    const archive = new ZipReader(source);
    const names = [...archive.entries.keys()]
      .filter((name) => isPicture(name) && !name.split('/').some(isAside))
      .sort();
    return names.map((name) => {
      const { method, size, crc, compressedSize: length } = archive.get(name);
      return { file, name, offset: archive.dataOffset(name), length, deflated: method !== 0, size, crc };
    });
  });
}

/** Hidden, or macOS's notes on files. */
function isAside(part: string): boolean {
  return isHidden(part) || part === '__MACOSX';
}

async function unpacked(picture: ZippedPicture): Promise<Uint8Array> {
  const { file, name, deflated, size, crc } = picture;
  const stored = await readRange(picture);
  try {
    const limit = { maxOutputLength: Math.max(1, Math.min(size, MAX_PICTURE)) };
    const bytes = deflated ? await inflate(stored, limit) : stored;
    if (crc32(bytes) === crc) return bytes;
  } catch {
    // said below
  }
  throw new DataError(`${file}:${name}: the archive's data is damaged.`);
}
