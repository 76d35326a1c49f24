// What a file is by its first bytes, never by its name: for choosing a reader, and for errors that say what arrived instead
// (a git-lfs pointer, an HTML error page) where weights were expected.

import type { ByteSource } from './file-reader.ts';

export type FileKind =
  | 'zip'
  | 'torch-legacy'
  | 'safetensors'
  | 'npy'
  | 'git-lfs'
  | 'html'
  | 'gzip'
  | 'hdf5'
  | 'unknown';

const DESCRIPTIONS: Record<FileKind, string | undefined> = {
  zip: 'a zip archive (npz, or a PyTorch checkpoint)',
  'torch-legacy': 'a pickle (a PyTorch checkpoint of the old format)',
  safetensors: 'a safetensors file',
  npy: 'a NumPy array',
  'git-lfs': 'a git-lfs pointer, not the file itself: run `git lfs pull`',
  html: 'an HTML page (an error page saved under this name?): download the file again',
  gzip: 'gzip data: unpack it first',
  hdf5: 'an HDF5 file',
  unknown: undefined,
};

/** Kind of content, from at most 64 bytes. */
export function sniff(source: ByteSource): FileKind {
  const head = source.read(0, Math.min(source.size, 64));
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith('PK\u0003\u0004') || text.startsWith('PK\u0005\u0006')) return 'zip';
  if (text.startsWith('\u0093NUMPY')) return 'npy';
  if (text.startsWith('version https://git-lfs')) return 'git-lfs';
  if (/^\s*<(?:!doctype|html|head|\?xml)/i.test(text)) return 'html';
  if (text.startsWith('\u001f\u008b')) return 'gzip';
  if (text.startsWith('\u0089HDF')) return 'hdf5';
  if (head[0] === 0x80 && head[1] !== undefined && head[1] >= 1 && head[1] <= 5) {
    // A safetensors header can begin with 0x80 too (its length); there byte 8 is '{'.
    return text[8] === '{' ? 'safetensors' : 'torch-legacy';
  }
  if (text[8] === '{') return 'safetensors';
  return 'unknown';
}

/** The kind in words, or undefined when nothing is recognised. */
export function describeContent(source: ByteSource): string | undefined {
  return source.size === 0 ? 'an empty file' : DESCRIPTIONS[sniff(source)];
}
