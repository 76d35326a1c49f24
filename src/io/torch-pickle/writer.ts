// Writes what torch.save writes: a zip archive with a pickle of plain data (protocol 2) and one stored entry a tensor, its bytes at a
// multiple of 64. torch.load reads it back with weights_only=True and with mmap=True. Source: torch/serialization.py.
// Differs from torch.save: views are written out, so every tensor is contiguous and owns its storage; `.format_version` is left out,
// which would promise where miniz puts each entry.

import { basename, extname } from 'node:path';
import { writeFileAtomic } from '../../util/atomic-write.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { elementCount, type TensorBytes } from '../storage-dtype.ts';
import { type ZipInput, zipPieces } from '../zip-writer.ts';
import { PickleOutput } from './pickle-output.ts';
import { storageClass } from './torch-world.ts';
import { PyTuple } from './values.ts';

/** What torch.load gives back: Map an OrderedDict, a plain object a dict, whole numbers int, other numbers float. */
export type TorchInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | TensorBytes
  | PyTuple
  | readonly TorchInput[]
  | ReadonlyMap<string | number, TorchInput>
  | { readonly [key: string]: TorchInput };

const ALIGNMENT = 64; // torch.utils.serialization.config.save.storage_alignment

/** Writes `value` atomically. A tensor that occurs twice is stored once. Holds the bytes of one tensor at a time. */
export function saveTorch(path: string, value: TorchInput): void {
  const storages: TensorBytes[] = [];
  const pickle = picklePieces(value, storages);
  const root = basename(path, extname(path)).replace(/[^\w.-]/g, '_') || 'archive';
  writeFileAtomic(path, zipPieces(entries(), { align: ALIGNMENT }));

  function* entries(): Generator<ZipInput> {
    yield { name: `${root}/data.pkl`, data: pickle };
    yield { name: `${root}/byteorder`, data: Buffer.from('little') };
    for (const [key, tensor] of storages.entries()) yield { name: `${root}/data/${key}`, data: tensor.toBytes() };
    yield { name: `${root}/version`, data: Buffer.from('3\n') };
  }
}

/** The pickle of `value`; its tensors are appended to `storages`, in the order of their keys. */
function picklePieces(value: TorchInput, storages: TensorBytes[]): Uint8Array {
  const out = new PickleOutput();
  const keys = new Map<TensorBytes, number>();
  const open: object[] = []; // containers being written: one inside itself has no end
  write(value);
  return out.finish();

  function write(item: TorchInput): void {
    if (item === null || typeof item !== 'object') {
      out.scalar(item);
    } else if (isTensor(item)) {
      tensor(item);
    } else {
      if (open.includes(item))
        throw new ArgumentError('saveTorch: expected data that does not contain itself, received a circle.');
      open.push(item);
      if (item instanceof PyTuple) out.tuple(item.items.map((inner) => () => write(inner as TorchInput)));
      else if (Array.isArray(item)) out.list(item.map((inner: TorchInput) => () => write(inner)));
      else if (item instanceof Map) dict([...item], () => out.call('collections', 'OrderedDict', []));
      else if (isPlain(item)) dict(Object.entries(item), () => out.emptyDict());
      else throw new ArgumentError(expected('saveTorch', 'tensors, plain data, arrays and maps', item));
      open.pop();
    }
  }

  function dict(items: readonly (readonly [string | number, TorchInput])[], empty: () => void): void {
    empty();
    out.setItems(
      items.map(([key, inner]) => () => {
        out.scalar(key);
        write(inner);
      }),
    );
  }

  /** _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks) */
  function tensor(item: TensorBytes): void {
    const key = keys.get(item) ?? storages.push(item) - 1;
    keys.set(item, key);
    const { dtype, shape } = item;
    const type = storageClass(dtype);
    if (type === undefined) throw new ArgumentError(expected('saveTorch', 'a dtype with a storage class', dtype));
    const integers = (values: readonly number[]) => () => out.tuple(values.map((n) => () => out.scalar(n)));
    const storage = () => {
      const scalars = [String(key), 'cpu', elementCount(shape)!].map((field) => () => out.scalar(field));
      out.tuple([() => out.scalar('storage'), () => out.global('torch', type), ...scalars]);
      out.persistentId();
    };
    const hooks = () => out.call('collections', 'OrderedDict', []);
    const [zero, no] = [() => out.scalar(0), () => out.scalar(false)];
    out.call('torch._utils', '_rebuild_tensor_v2', [
      storage,
      zero,
      integers(shape),
      integers(strides(shape)),
      no,
      hooks,
    ]);
  }
}

function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length).fill(1);
  for (let d = shape.length - 2; d >= 0; d--) result[d] = result[d + 1]! * Math.max(1, shape[d + 1]!);
  return result;
}

function isTensor(item: object): item is TensorBytes {
  return 'toBytes' in item && typeof item.toBytes === 'function';
}

function isPlain(item: object): item is { readonly [key: string]: TorchInput } {
  const prototype: unknown = Object.getPrototypeOf(item);
  return prototype === Object.prototype || prototype === null;
}
