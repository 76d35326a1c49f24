// The names a torch file may use, by exact name, and what stands behind them here. Everything else is refused.
// Source: torch/_utils.py (rebuild functions), torch/_weights_only_unpickler.py (the idea of the list).

import { DataError } from '../../util/errors.ts';
import { dtypeFrom, elementBytes, elementCount, type StorageDtype } from '../storage-dtype.ts';
import type { PickleWorld } from './unpickler.ts';
import {
  brief,
  Global,
  PyTuple,
  type PyValue,
  TorchDevice,
  TorchDtype,
  TorchSize,
  TorchStorage,
  TorchTensor,
} from './values.ts';

// Storage classes; Untyped ones count bytes.
const STORAGES: Record<string, StorageDtype> = {
  DoubleStorage: 'f64',
  FloatStorage: 'f32',
  HalfStorage: 'f16',
  BFloat16Storage: 'bf16',
  LongStorage: 'i64',
  IntStorage: 'i32',
  ShortStorage: 'i16',
  CharStorage: 'i8',
  ByteStorage: 'u8',
  BoolStorage: 'bool',
  ComplexFloatStorage: 'c64',
  ComplexDoubleStorage: 'c128',
  UntypedStorage: 'u8',
};

const CLASSES = new Map(
  Object.entries(STORAGES).flatMap(([name, dtype]) =>
    [`torch.${name}`, `torch.storage.${name}`].map((full) => [full, dtype]),
  ),
);

const FUNCTIONS: Record<string, (args: readonly PyValue[], name: string) => PyValue> = {
  'collections.OrderedDict': (args, name) => (args.length === 0 ? new Map() : pairs(args[0], name)),
  'torch._utils._rebuild_tensor': (args, name) => rebuild(args, { name }),
  'torch._utils._rebuild_tensor_v2': (args, name) => rebuild(args, { name }),
  'torch._utils._rebuild_tensor_v3': (args, name) => rebuild(args, { name, dtype: args[6] }),
  'torch._utils._rebuild_parameter': parameter,
  'torch._utils._rebuild_parameter_with_state': parameter,
  'torch.Size': ([sizes], name) => new TorchSize(integers(sizes, { name, what: 'torch.Size' })),
  'torch.device': (args) => new TorchDevice(args.map(brief).join(':')),
  // How protocol 2 writes bytes and sets.
  '_codecs.encode': ([text, encoding], name) => {
    if (typeof text !== 'string' || encoding !== 'latin1')
      throw new DataError(`${name}: expected bytes as latin1 text, received something else.`);
    return new Uint8Array(Buffer.from(text, 'latin1'));
  },
  'builtins.set': ([items], name) => toSet(items, name),
  '__builtin__.set': ([items], name) => toSet(items, name),
};

/** The world of one file. `storage` is asked for each storage that the pickle mentions. */
export function torchWorld(
  name: string,
  storage: (key: string, claim: { dtype: StorageDtype; elements: number }) => TorchStorage,
): PickleWorld {
  return {
    global(module, attribute) {
      const full = `${module}.${attribute}`;
      if (Object.hasOwn(FUNCTIONS, full) || CLASSES.has(full)) return new Global(full);
      if (module === 'torch' && dtypeFrom('torch', attribute) !== undefined) return new TorchDtype(attribute);
      throw new DataError(`${name}: refused: the file asks for ${full}, ${explain(module)}.`);
    },
    call(target, args) {
      const function_ = FUNCTIONS[target.name];
      if (function_ === undefined)
        throw new DataError(`${name}: refused: the file calls ${target.name}, which is only a type here.`);
      return function_(args, name);
    },
    persistent(id) {
      const fields = id instanceof PyTuple ? id.items : [];
      const [kind, type, key, , elements, view] = fields;
      const dtype = type instanceof Global ? CLASSES.get(type.name) : undefined;
      if (kind !== 'storage' || dtype === undefined || typeof key !== 'string' || !isCount(elements)) {
        throw new DataError(
          `${name}: expected a storage reference ('storage', type, key, location, size), received something else.`,
        );
      }
      if (view !== undefined && view !== null) {
        throw new DataError(
          `${name}: expected whole storages, received a view of one (PyTorch before 0.4). Save the file again with a newer PyTorch.`,
        );
      }
      return storage(key, { dtype, elements });
    },
  };
}

/** The class of storages of this dtype; the newer dtypes have none. */
export function storageClass(dtype: StorageDtype): string | undefined {
  return Object.keys(STORAGES).find((name) => STORAGES[name] === dtype && name !== 'UntypedStorage');
}

function explain(module: string): string {
  if (/^numpy(\.|$)/.test(module)) return 'a NumPy object. Save tensors instead: torch.save({k: torch.as_tensor(v)})';
  if (/^torch(\.|$)/.test(module)) return 'which is not on the list of plain tensor types';
  const builtin = /^(?:builtins|__builtin__|os|posix|nt|sys|subprocess|runpy|importlib|shutil|socket)$/.test(module);
  return builtin
    ? 'which could run code'
    : 'an object of that class. Only tensors and plain data are read: save model.state_dict()';
}

function rebuild(
  args: readonly PyValue[],
  { name, dtype: asked }: { name: string; dtype?: PyValue | undefined },
): TorchTensor {
  const [storage, offset, size, stride, requiresGrad = false] = args;
  if (!(storage instanceof TorchStorage))
    throw new DataError(`${name}: expected a storage to build a tensor on, received something else.`);
  const dtype =
    asked === undefined ? storage.dtype : asked instanceof TorchDtype ? dtypeFrom('torch', asked.name) : undefined;
  if (dtype === undefined) throw new DataError(`${name}: expected a known dtype of a tensor, received something else.`);
  const shape = integers(size, { name, what: 'a tensor size' });
  const strides = integers(stride, { name, what: 'tensor strides' });
  const view = { storage, dtype, shape, strides, requiresGrad: requiresGrad === true, parameter: false };
  if (!isCount(offset))
    throw new DataError(`${name}: expected a non-negative storage offset, received ${brief(offset)}.`);
  checkExtent({ ...view, offset }, name);
  return new TorchTensor({ ...view, offset });
}

/** Every element of the view lies inside the storage. */
function checkExtent({ storage, dtype, shape, strides, offset }: TorchTensor['view'], name: string): void {
  const fail = (expected: string): DataError => {
    const sizes = `[${shape.join(', ')}] with strides [${strides.join(', ')}]`;
    return new DataError(`${name}: a tensor ${sizes} at ${offset}: expected ${expected}.`);
  };
  if (shape.length !== strides.length) throw fail('as many strides as sizes');
  const count = elementCount(shape);
  if (count === undefined) throw fail('sizes whose product is below 2^53');
  const available = Math.floor((storage.elements * elementBytes(storage.dtype)) / elementBytes(dtype));
  const last = count === 0 ? offset - 1 : shape.reduce((sum, n, d) => sum + (n - 1) * strides[d]!, offset);
  if (!(last < available))
    throw fail(`it inside its storage of ${available} elements, received one that reaches ${last}`);
}

function parameter([tensor, requiresGrad]: readonly PyValue[], name: string): TorchTensor {
  if (!(tensor instanceof TorchTensor))
    throw new DataError(`${name}: expected a tensor in a Parameter, received something else.`);
  return new TorchTensor({ ...tensor.view, parameter: true, requiresGrad: requiresGrad === true });
}

function integers(value: PyValue | undefined, { name, what }: { name: string; what: string }): number[] {
  const items =
    value instanceof PyTuple
      ? value.items
      : value instanceof TorchSize
        ? value.sizes
        : Array.isArray(value)
          ? value
          : undefined;
  if (items === undefined || !items.every(isCount)) {
    throw new DataError(
      `${name}: expected non-negative integers as ${what}, received ${items ? `[${items.slice(0, 8).map(brief).join(', ')}]` : 'something else'}.`,
    );
  }
  return [...items] as number[];
}

function isCount(value: PyValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function pairs(items: PyValue | undefined, name: string): Map<PyValue, PyValue> {
  const list = Array.isArray(items) ? items : items instanceof PyTuple ? items.items : undefined;
  const entries = list?.map((item) => (Array.isArray(item) ? item : item instanceof PyTuple ? item.items : []));
  if (!entries?.every((entry) => entry.length === 2))
    throw new DataError(`${name}: expected pairs for an OrderedDict, received something else.`);
  return new Map(entries.map(([key, value]) => [key!, value!]));
}

function toSet(items: PyValue | undefined, name: string): Set<PyValue> {
  if (!Array.isArray(items)) throw new DataError(`${name}: expected a list for a set, received something else.`);
  return new Set(items);
}
