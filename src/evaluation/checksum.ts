// SHA-256 of files: what a result carries, so that two numbers are known to come from the same weights and the same reference.

import { type FileReader, withFile } from '../io/file-reader.ts';
import { sha256 } from '../util/digest.ts';

const CHUNK = 16 << 20;

/** Checksum of a file's bytes, in hexadecimal. DataError when it cannot be read. */
export function fileChecksum(path: string): string {
  return withFile(path, (file) => sha256(chunks(file)));
}

function* chunks(file: FileReader): Generator<Uint8Array> {
  for (let at = 0; at < file.size; at += CHUNK) yield file.read(at, Math.min(CHUNK, file.size - at));
}
