// Zip archives, as NumPy's .npz and PyTorch's .pt use them: directory, stored and deflated entries, zip64, CRC-32.
// Our own because archives come from anywhere: sizes are held against the file before anything is allocated, inflation is
// bounded, duplicate or overlapping entries are refused, and nothing is ever written to a path that an archive names.

import { crc32, inflateRawSync } from 'node:zlib';
import { DataError } from '../util/errors.ts';
import type { ByteSource } from './file-reader.ts';
import { describeContent } from './sniff.ts';

export interface ZipEntry {
  name: string;
  /** 0 stored, 8 deflated. */
  method: number;
  compressedSize: number;
  size: number;
  crc: number;
  headerOffset: number;
}

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_DIRECTORY = 256 << 20; // a directory of some million entries
const FREE_INFLATION = 64 << 20; // inflated bytes that need no justification by the archive's size
const MAX_RATIO = 200; // beyond: all archives together may inflate to this multiple of the file

/** An open archive. Nothing but its directory is read until an entry is asked for. */
export class ZipReader {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #directoryOffset: number;
  #inflated = 0;

  constructor(source: ByteSource) {
    this.source = source;
    const { offset, size, count } = findDirectory(source);
    this.#directoryOffset = offset;
    this.entries = readDirectory(source, { offset, size, count });
  }

  get(name: string): ZipEntry {
    const entry = this.entries.get(name);
    if (entry) return entry;
    const names = [...this.entries.keys()];
    throw new DataError(
      `${this.source.name}: expected an entry '${name}', received ${names.slice(0, 8).join(', ') || 'an empty archive'}${names.length > 8 ? ', ...' : ''}.`,
    );
  }

  /** The bytes of an entry, inflated, its length and CRC-32 checked. */
  read(name: string): Uint8Array<ArrayBuffer> {
    const entry = this.get(name);
    const where = `${this.source.name}: entry '${name}'`;
    const stored = this.source.read(this.dataOffset(name), entry.compressedSize);
    const bytes = entry.method === 0 ? stored : this.#inflate(stored, entry, where);
    if (bytes.length !== entry.size) {
      throw new DataError(`${where}: expected ${entry.size} bytes, received ${bytes.length}. The archive is damaged.`);
    }
    if (crc32(bytes) !== entry.crc) {
      throw new DataError(`${where}: the CRC-32 check sum is wrong. The archive is damaged: fetch it again.`);
    }
    return bytes;
  }

  /** Where the entry's bytes begin in the file; a stored entry can be mapped from there. */
  dataOffset(name: string): number {
    const entry = this.get(name);
    const where = `${this.source.name}: entry '${name}'`;
    const likely = 30 + Buffer.byteLength(name); // one reading for header and name: a checkpoint has hundreds
    const bytes = this.source.read(entry.headerOffset, Math.min(likely, this.source.size - entry.headerOffset));
    const header = view(bytes);
    if (header.getUint32(0, true) !== LOCAL) throw new DataError(`${where}: expected a local header, found none.`);
    const nameLength = header.getUint16(26, true);
    const localName = decodeName(bytes.subarray(30, 30 + nameLength));
    if (localName !== name || bytes.length < 30 + nameLength)
      throw new DataError(`${where}: expected its name in the local header, received '${localName}'.`);
    const offset = entry.headerOffset + 30 + nameLength + header.getUint16(28, true);
    if (offset + entry.compressedSize > this.#directoryOffset) {
      throw new DataError(`${where}: expected ${entry.compressedSize} bytes before the directory, received fewer.`);
    }
    return offset;
  }

  #inflate(stored: Uint8Array, entry: ZipEntry, where: string): Uint8Array<ArrayBuffer> {
    this.#inflated += entry.size;
    if (this.#inflated > Math.max(FREE_INFLATION, MAX_RATIO * this.source.size)) {
      throw new DataError(
        `${where}: expected an archive that inflates to at most ${MAX_RATIO} times its size, received more (a decompression bomb?).`,
      );
    }
    try {
      return new Uint8Array(inflateRawSync(stored, { maxOutputLength: Math.max(1, entry.size) }));
    } catch (error) {
      throw new DataError(`${where}: the deflated data is damaged.`, { cause: error });
    }
  }
}

interface Directory {
  offset: number;
  size: number;
  count: number;
}

function findDirectory(source: ByteSource): Directory {
  const tailLength = Math.min(source.size, 22 + 0xffff);
  const tail = view(source.read(source.size - tailLength, tailLength));
  for (let at = tailLength - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END || at + 22 + tail.getUint16(at + 20, true) !== tailLength) continue;
    const end = source.size - tailLength + at;
    const found = {
      count: tail.getUint16(at + 10, true),
      size: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
    const multi = tail.getUint16(at + 4, true);
    const directory =
      found.count === 0xffff || found.size === 0xffffffff || found.offset === 0xffffffff ? zip64(source, end) : found;
    if ((multi !== 0 && multi !== 0xffff) || directory.offset + directory.size > end || directory.size > MAX_DIRECTORY)
      break;
    return directory;
  }
  const what = describeContent(source);
  throw new DataError(
    `${source.name}: expected a zip archive with its directory at the end, received ${what && !what.startsWith('a zip') ? what : 'one that is cut off or damaged'}.`,
  );
}

function zip64(source: ByteSource, end: number): Directory {
  const locator = view(source.read(end - 20, 20));
  if (locator.getUint32(0, true) !== END64_LOCATOR) throw damaged(source);
  const record = view(source.read(safe(locator.getBigUint64(8, true), source), 56));
  if (record.getUint32(0, true) !== END64) throw damaged(source);
  return {
    count: safe(record.getBigUint64(32, true), source),
    size: safe(record.getBigUint64(40, true), source),
    offset: safe(record.getBigUint64(48, true), source),
  };
}

function readDirectory(source: ByteSource, { offset, size, count }: Directory): Map<string, ZipEntry> {
  if (count * 46 > size) throw damaged(source);
  const bytes = source.read(offset, size);
  const directory = view(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || directory.getUint32(at, true) !== CENTRAL) throw damaged(source);
    const nameLength = directory.getUint16(at + 28, true);
    const extraLength = directory.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + directory.getUint16(at + 32, true);
    if (next > size) throw damaged(source);
    const name = decodeName(bytes.subarray(at + 46, at + 46 + nameLength));
    const extra = view(bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength));
    if (entries.has(name))
      throw new DataError(`${source.name}: expected unique entries, received two named '${name}'.`);
    entries.set(name, centralEntry(view(bytes.subarray(at, at + 46)), { name, extra, source }));
    at = next;
  }
  refuseOverlap(entries, source);
  return entries;
}

function centralEntry(
  record: DataView,
  { name, extra, source }: { name: string; extra: DataView; source: ByteSource },
): ZipEntry {
  const where = `${source.name}: entry '${name}'`;
  const method = record.getUint16(10, true);
  if (record.getUint16(8, true) & 1) throw new DataError(`${where}: expected plain data, received an encrypted entry.`);
  if (method !== 0 && method !== 8) {
    throw new DataError(`${where}: expected a stored or deflated entry, received compression method ${method}.`);
  }
  const wide = zip64Fields(extra);
  const field = (at: number): number => {
    const value = record.getUint32(at, true);
    return value === 0xffffffff ? safe(wide.shift() ?? -1n, source) : value;
  };
  const size = field(24); // the order in which the zip64 extra lists them
  const compressedSize = field(20);
  const headerOffset = field(42);
  if (headerOffset + 30 + compressedSize > source.size || (method === 0 && size !== compressedSize)) {
    throw new DataError(
      `${where}: expected sizes that fit into the file, received ${compressedSize} bytes at ${headerOffset}.`,
    );
  }
  return { name, method, size, compressedSize, headerOffset, crc: record.getUint32(16, true) };
}

/** Values of the zip64 extra field (id 1). */
function zip64Fields(extra: DataView): bigint[] {
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) === 1 && at + 4 + length <= extra.byteLength) {
      return Array.from({ length: Math.floor(length / 8) }, (_, i) => extra.getBigUint64(at + 4 + 8 * i, true));
    }
    at += 4 + length;
  }
  return [];
}

/** Entries that share bytes are the other kind of bomb. */
function refuseOverlap(entries: ReadonlyMap<string, ZipEntry>, source: ByteSource): void {
  const inOrder = [...entries.values()].sort((a, b) => a.headerOffset - b.headerOffset);
  for (const [i, entry] of inOrder.entries()) {
    const next = inOrder[i + 1];
    if (next && entry.headerOffset + 30 + entry.compressedSize > next.headerOffset) {
      throw new DataError(
        `${source.name}: expected entries apart, received '${entry.name}' and '${next.name}' overlapping.`,
      );
    }
  }
}

function safe(value: bigint, source: ByteSource): number {
  if (value < 0n || value > BigInt(source.size)) throw damaged(source);
  return Number(value);
}

function damaged(source: ByteSource): DataError {
  return new DataError(`${source.name}: the zip directory is damaged or its numbers lie.`);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const utf8 = new TextDecoder();

function decodeName(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}
