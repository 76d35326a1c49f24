// TensorBoard event files: scalars and PNG pictures. Source: tensorflow/core/util/event.proto and summary.proto (only the
// fields used here), TFRecord framing: length, masked CRC-32C of it, data, masked CRC-32C of that.

import { appendFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder, writing } from '../util/storage.ts';

export interface EventWriter {
  readonly path: string;
  scalar(tag: string, value: number, step: number): void;
  /** `png`: the encoded file. */
  image(tag: string, png: Uint8Array, step: number): void;
}

/** A new file in `folder`. `step`: where a run starts or resumes; TensorBoard forgets what older files say from there on. */
export function openEvents(folder: string, { step = 0 }: { step?: number } = {}): EventWriter {
  makeFolder(folder);
  const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
  const path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${step}`);
  const write = (payload: Buffer, at?: number) => {
    const parts = [double(1, Date.now() / 1000), ...(at === undefined ? [] : [varint(2, at)]), payload];
    writing(path, () => appendFileSync(path, frame(Buffer.concat(parts))));
  };
  const summary = (value: Buffer, at: number) => write(bytes(5, bytes(1, value)), at);
  write(bytes(3, Buffer.from('brain.Event:2')));
  write(bytes(7, varint(1, 1)), step); // SessionLog START
  return {
    path,
    scalar: (tag, value, at) => summary(Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)]), at),
    image: (tag, png, at) => {
      const size = new DataView(png.buffer, png.byteOffset, png.byteLength);
      const fields = [varint(1, size.getUint32(20)), varint(2, size.getUint32(16)), varint(3, 3), bytes(4, png)];
      summary(Buffer.concat([bytes(1, Buffer.from(tag)), bytes(4, Buffer.concat(fields))]), at);
    },
  };
}

// ── protocol buffers ──────────────────────────────────

function key(field: number, wire: number): Buffer {
  return Buffer.from([(field << 3) | wire]); // fields below 16
}

function uint(value: number): Buffer {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest % 128) | 128);
  }
}

function varint(field: number, value: number): Buffer {
  return Buffer.concat([key(field, 0), uint(value)]);
}

function bytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([key(field, 2), uint(value.length), value]);
}

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([key(field, 5), out]);
}

// ── TFRecord ──────────────────────────────────────────

function frame(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

function maskedCrc(data: Uint8Array): Buffer {
  const crc = crc32c(data);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return out;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC-32C (Castagnoli). */
export function crc32c(data: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of data) c = TABLE[(c ^ byte) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
