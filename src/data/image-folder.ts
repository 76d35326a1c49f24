// Finds the pictures of a folder as torchvision's ImageFolder does: every sub-folder is a class, in the order of its name,
// with all pictures below it. Differs: a folder without classes is one class; hidden files and folders are left out.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { DataError } from '../util/errors.ts';

/** torchvision's list, in any case. */
export const imageExtensions = ['.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp'] as const;

export interface ImageFolder {
  readonly root: string;
  readonly classes: readonly string[];
  /** Absolute paths, class by class. */
  readonly paths: readonly string[];
  readonly labels: readonly number[];
}

/** Lists the pictures below `folder`. DataError when there are none, or a class has none. */
export async function scanImageFolder(folder: string): Promise<ImageFolder> {
  const root = resolve(folder);
  const { folders, files } = await list(root);
  const found = await Promise.all(folders.map((name) => picturesBelow(join(root, name))));
  if (found.every((paths) => paths.length === 0)) {
    if (files.length === 0) throw empty(root);
    return {
      root,
      classes: [basename(root)],
      paths: files.map((name) => join(root, name)),
      labels: files.map(() => 0),
    };
  }
  const without = folders.filter((_, label) => found[label]!.length === 0);
  if (without.length > 0) {
    throw new DataError(
      `${root}: expected pictures in every class, found none in ${without.slice(0, 5).join(', ')}. Remove or fill these folders.`,
    );
  }
  return {
    root,
    classes: folders,
    paths: found.flat(),
    labels: found.flatMap((paths, label) => paths.map(() => label)),
  };
}

/** All pictures below a folder, in torchvision's order: by the path of their folder, then by name. Links are followed, once. */
async function picturesBelow(start: string): Promise<string[]> {
  const byFolder = new Map<string, string[]>();
  const walk = async (folder: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(folder);
    if (above.includes(real)) return; // a link to a folder that holds it
    const { folders, files } = await list(folder);
    byFolder.set(folder, files);
    for (const name of folders) await walk(join(folder, name), [...above, real]);
  };
  await walk(start, []);
  const folders = [...byFolder.keys()].sort(byCodePoint);
  return folders.flatMap((folder) => byFolder.get(folder)!.map((name) => join(folder, name)));
}

/** Names of the sub-folders and of the pictures, sorted. */
async function list(folder: string): Promise<{ folders: string[]; files: string[] }> {
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of await entriesOf(folder)) {
    if (isHidden(entry.name)) continue;
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
    if (target?.isDirectory()) folders.push(entry.name);
    else if (target?.isFile() && isPicture(entry.name)) files.push(entry.name);
  }
  return { folders: folders.sort(byCodePoint), files: files.sort(byCodePoint) };
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const reason = code === 'ENOENT' ? 'no such folder' : code === 'ENOTDIR' ? 'a file' : String(code);
    throw new DataError(`${folder}: expected a folder of pictures, received ${reason}.`, { cause });
  }
}

/** Whether a file's name ends as a picture's. */
export function isPicture(name: string): boolean {
  const lower = name.toLowerCase();
  return imageExtensions.some((extension) => lower.endsWith(extension));
}

export function isHidden(name: string): boolean {
  return name.startsWith('.');
}

function empty(root: string): DataError {
  return new DataError(
    `${root}: expected pictures (${imageExtensions.join(' ')}) in it or in one sub-folder per class, found none.`,
  );
}

/** Python's order of strings; JavaScript's own puts characters beyond 16 bits before some within. */
function byCodePoint(a: string, b: string): number {
  if (a === b) return 0;
  if (beyond16Bits.test(a) || beyond16Bits.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

const beyond16Bits = /[\ud800-\udfff]/;
