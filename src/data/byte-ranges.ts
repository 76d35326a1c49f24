// Reads a part of a file, off the main thread.

import { open } from 'node:fs/promises';
import { unreadable } from '../io/file-reader.ts';
import { DataError } from '../util/errors.ts';

export interface ByteRange {
  /** Path. */
  file: string;
  offset: number;
  length: number;
}

/** The bytes. DataError when the file cannot be read, or has become shorter. */
export async function readRange({ file, offset, length }: ByteRange): Promise<Uint8Array> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw unreadable(file, error);
  });
  try {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new DataError(`${file}: the file shrank while it was read.`);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}
