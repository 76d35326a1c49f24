// Memory of JavaScript that native code keeps looking at after a call returned: a tensor over a typed array, a picture that the
// thread pool reads. It is held by reference, but a transfer or a resize would pull it away all the same.
import { markAsUntransferable } from 'node:worker_threads';
import { ArgumentError } from '../util/errors.ts';

/**
 * Makes the memory below `data` stay where it is: it cannot be transferred to another thread from now on (Node copies it, or
 * refuses). ArgumentError for a resizable buffer.
 */
export function pin(where: string, data: ArrayBufferView | ArrayBuffer): void {
  const buffer: unknown = ArrayBuffer.isView(data) ? data.buffer : data;
  if (!(buffer instanceof ArrayBuffer)) return; // a SharedArrayBuffer goes nowhere
  if ((buffer as { resizable?: boolean }).resizable) {
    throw new ArgumentError(
      `${where}: expected a buffer of fixed length, received a resizable one. Copy its contents.`,
    );
  }
  markAsUntransferable(buffer);
}
