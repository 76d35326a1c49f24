// Writes zip archives of stored entries, zip64 where numbers need it, as pieces for an atomic write. Entries given as a
// stream of pieces are written in one pass, their CRC-32 and size after the data (a data descriptor).

import { crc32 } from 'node:zlib';

export interface ZipInput {
  name: string;
  data: Uint8Array | Iterable<Uint8Array>;
}

const LIMIT = 0xffffffff;
const DATE = 0x0021; // 1 January 1980, so that the same content gives the same file

/** The archive, piece by piece. `align` pads each entry's data to a multiple of so many bytes. `forceZip64` is for tests. */
export function* zipPieces(
  inputs: Iterable<ZipInput>,
  { align = 1, forceZip64 = false }: { align?: number; forceZip64?: boolean } = {},
): Generator<Uint8Array> {
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data } of inputs) {
    const headerOffset = offset;
    const known = data instanceof Uint8Array ? { crc: crc32(data), size: data.length } : undefined;
    const header = localHeader(name, known, { offset, align, forceZip64 });
    yield header;
    offset += header.length;
    let crc = 0;
    let size = 0;
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      crc = crc32(piece, crc);
      size += piece.length;
      yield piece;
    }
    offset += size;
    if (known === undefined) {
      const descriptor = record('44 88', 0x08074b50, crc, size, size);
      yield descriptor;
      offset += descriptor.length;
    }
    central.push(centralHeader(name, { crc, size, headerOffset, streamed: known === undefined, forceZip64 }));
  }
  yield* central;
  const size = central.reduce((sum, { length }) => sum + length, 0);
  yield endRecords({ count: central.length, size, offset, forceZip64 });
}

interface LocalPlace {
  offset: number;
  align: number;
  forceZip64: boolean;
}

function localHeader(
  name: string,
  known: { crc: number; size: number } | undefined,
  { offset, align, forceZip64 }: LocalPlace,
): Uint8Array {
  const text = Buffer.from(name);
  const wide = forceZip64 || known === undefined || known.size >= LIMIT;
  const size = known?.size ?? 0;
  const zip64 = wide ? record('22 88', 1, 16, size, size) : Buffer.alloc(0);
  const start = offset + 30 + text.length + zip64.length;
  // An extra field of unknown id, as PyTorch pads ("FB").
  const gap = (align - ((start + 4) % align)) % align;
  const padding = start % align === 0 ? Buffer.alloc(0) : Buffer.concat([record('22', 0x4246, gap), Buffer.alloc(gap)]);
  const extra = Buffer.concat([zip64, padding]);
  const shown = wide ? LIMIT : size;
  const fixed = record(
    '4 22222 444 22',
    ...[0x04034b50, wide ? 45 : 20, flags(known === undefined), 0, 0, DATE],
    ...[known?.crc ?? 0, shown, shown, text.length, extra.length],
  );
  return Buffer.concat([fixed, text, extra]);
}

interface CentralEntry {
  crc: number;
  size: number;
  headerOffset: number;
  streamed: boolean;
  forceZip64: boolean;
}

function centralHeader(name: string, entry: CentralEntry): Uint8Array {
  const { crc, size, headerOffset, streamed, forceZip64 } = entry;
  const text = Buffer.from(name);
  const wideSize = forceZip64 || size >= LIMIT;
  const wideOffset = forceZip64 || headerOffset >= LIMIT;
  const wide = [...(wideSize ? [size, size] : []), ...(wideOffset ? [headerOffset] : [])];
  const extra =
    wide.length > 0 ? record(`22 ${'8'.repeat(wide.length)}`, 1, 8 * wide.length, ...wide) : Buffer.alloc(0);
  const shown = wideSize ? LIMIT : size;
  const fixed = record(
    '4 222222 444 22222 4 4',
    ...[0x02014b50, 45, wide.length > 0 ? 45 : 20, flags(streamed), 0, 0, DATE],
    ...[crc, shown, shown, text.length, extra.length, 0, 0, 0, 0, wideOffset ? LIMIT : headerOffset],
  );
  return Buffer.concat([fixed, text, extra]);
}

function endRecords(end: { count: number; size: number; offset: number; forceZip64: boolean }): Uint8Array {
  const { count, size, offset } = end;
  const wide = end.forceZip64 || count >= 0xffff || size >= LIMIT || offset >= LIMIT;
  const end64 = record('48 22 44 8888', 0x06064b50, 44, 45, 45, 0, 0, count, count, size, offset);
  const locator = record('4484', 0x07064b50, 0, offset + size, 1);
  const [shownCount, shownSize, shownOffset] = wide ? [0xffff, LIMIT, LIMIT] : [count, size, offset];
  const last = record('4 2222 44 2', 0x06054b50, 0, 0, shownCount, shownCount, shownSize, shownOffset, 0);
  return Buffer.concat(wide ? [end64, locator, last] : [last]);
}

/** Bit 3: sizes follow the data; bit 11: the name is UTF-8. */
function flags(streamed: boolean): number {
  return (streamed ? 8 : 0) | 0x800;
}

/** Little-endian fields; `layout` gives the bytes of each, spaces aside. */
function record(layout: string, ...values: number[]): Buffer {
  const widths = Array.from(layout.replaceAll(' ', ''), Number);
  const out = Buffer.alloc(widths.reduce((a, b) => a + b, 0));
  let at = 0;
  for (const [i, width] of widths.entries()) {
    const value = values[i]!;
    if (width === 8) out.writeBigUInt64LE(BigInt(value), at);
    else out.writeUIntLE(value, at, width);
    at += width;
  }
  return out;
}
