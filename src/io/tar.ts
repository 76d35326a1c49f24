// Where the files of a tar archive lie, from its headers alone: ustar, GNU long names, pax paths and sizes. The pictures of an archive
// are then read by offset, in any order. (tar-stream, which reads archives from end to end, would read every byte for that.)

import { DataError } from '../util/errors.ts';
import type { ByteSource } from './file-reader.ts';
import { describeContent } from './sniff.ts';

export interface TarEntry {
  name: string;
  /** Of the file's first byte in the archive. */
  offset: number;
  size: number;
}

const BLOCK = 512;
const MAX_EXTENSION = 1 << 20; // a long name or a pax header
const REGULAR = new Set(['0', '\0', '7']);

/** The regular files, in the archive's order. DataError for what is no tar archive, or is cut off or damaged. */
export function* tarEntries(source: ByteSource): Generator<TarEntry> {
  let longName: string | undefined;
  let pax: Map<string, string> = new Map();
  for (let at = 0; at + BLOCK <= source.size; ) {
    const header = source.read(at, BLOCK);
    if (header.every((byte) => byte === 0)) return; // the end mark
    checkSum(source, header, at);
    const type = String.fromCharCode(header[156]!);
    const size = pax.has('size') ? Number(pax.get('size')) : number(header.subarray(124, 136));
    const offset = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || offset + size > source.size) {
      throw new DataError(
        `${source.name}: expected ${size} bytes of '${nameOf(header)}' at ${offset}, received an archive of ${source.size}. It is cut off or damaged.`,
      );
    }
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'L' || type === 'x') {
      if (size > MAX_EXTENSION) {
        throw new DataError(`${source.name}: expected a name of at most ${MAX_EXTENSION} bytes, received ${size}.`);
      }
      const bytes = source.read(offset, size);
      if (type === 'L') longName = text(bytes);
      else pax = paxFields(bytes);
      continue; // they describe the next entry
    }
    if (REGULAR.has(type)) yield { name: pax.get('path') ?? longName ?? nameOf(header), offset, size };
    longName = undefined;
    pax = new Map();
  }
}

/** The sum of the header's bytes, its own field as blanks: what tells a tar archive from anything else. */
function checkSum(source: ByteSource, header: Uint8Array, at: number): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!;
  if (sum === number(header.subarray(148, 156))) return;
  if (at > 0) throw new DataError(`${source.name}: the header at byte ${at} is damaged.`);
  throw new DataError(
    `${source.name}: expected a tar archive, received ${describeContent(source) ?? 'something else'}.`,
  );
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const prefix = text(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : '';
  return prefix === '' || isGnu(header) ? name : `${prefix}/${name}`;
}

/** GNU's own headers keep times where ustar has the prefix. */
function isGnu(header: Uint8Array): boolean {
  return header[262] === 0x20;
}

/** Octal digits, or (GNU) a big-endian number behind a first byte of 0x80. */
function number(field: Uint8Array): number {
  if (field[0] === 0x80) return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
  return Number.parseInt(text(field).trim() || '0', 8);
}

/** `LENGTH key=value\n`, the length counted in bytes and including itself. */
function paxFields(bytes: Uint8Array): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(text(bytes.subarray(at, space)));
    if (space === -1 || !(length > space - at)) break;
    const [key = '', ...value] = new TextDecoder().decode(bytes.subarray(space + 1, at + length - 1)).split('=');
    fields.set(key, value.join('='));
    at += length;
  }
  return fields;
}

/** Up to the first zero byte. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
}
