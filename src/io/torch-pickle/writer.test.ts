import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, type TestContext, test } from 'vitest';
import { requirePython, runPython } from '../../../test/python.ts';
import { type Dtype, dispose, tensor, tidy, zeros } from '../../tensor/index.ts';
import { memorySource } from '../file-reader.ts';
import { ZipReader } from '../zip.ts';
import { loadTorch, PyTuple, readTorch, saveTorch, type TorchInput } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-torch-writer-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'my model.pt');

const dtypes: readonly Dtype[] = ['f32', 'f64', 'f16', 'bf16', 'i64', 'i32', 'u8', 'bool'];
const values = [0, 1, 0, 1, 1, 0];

test('plain data of every kind comes back as it was, through our own reader', () => {
  const numbers = [0, 255, 256, 65_536, -1, 2 ** 31, -(2 ** 40), 0.1, -0, Number.NaN, Number.POSITIVE_INFINITY];
  const value: TorchInput = {
    none: null,
    flags: [true, false],
    numbers,
    big: [2n ** 63n, -(2n ** 70n)],
    text: ['', 'größe', 'text', 'text'],
    tuple: new PyTuple([1, new PyTuple([]), 'x', 4]),
    nested: new Map<string | number, TorchInput>([
      [7, 'seven'],
      ['list', [[], [[1]]]],
    ]),
  };
  saveTorch(path, value);
  const read = readTorch(path) as Map<string, unknown>;
  expect(Object.fromEntries(read)).toEqual(value);
  expect([...read.keys()]).toEqual(Object.keys(value));
});

test('a thousand tensors, and more strings than one byte counts, keep names, order and values', () => {
  const state = new Map(
    Array.from({ length: 1100 }, (_, i) => [`blocks.${i}.weight`, tensor([i, -i], { dtype: 'f32' })]),
  );
  saveTorch(path, state);
  tidy(() => {
    const read = loadTorch(path, { mmap: true });
    expect([...read.keys()]).toEqual([...state.keys()]);
    expect(read.get('blocks.1099.weight')!.toNumbers()).toEqual([1099, -1099]);
    return undefined;
  });
  dispose(state);
});

test('storages begin at multiples of 64 bytes, and a tensor that occurs twice is stored once', () => {
  const t = tensor([1, 2, 3], { dtype: 'f32' });
  saveTorch(path, { a: t, b: t, model: new Map([['c', zeros([5])]]) });
  const zip = new ZipReader(memorySource(readFileSync(path), path));
  const storages = [...zip.entries.keys()].filter((name) => name.includes('/data/'));
  expect(storages).toEqual(['my_model/data/0', 'my_model/data/1']);
  for (const name of storages) expect(zip.dataOffset(name) % 64).toBe(0);
});

test('the file depends on what is in it alone', () => {
  const bytes = () => {
    tidy(() => saveTorch(path, new Map([['w', tensor([1, 2], { dtype: 'f32' })]])));
    return readFileSync(path);
  };
  expect(bytes()).toEqual(bytes());
});

test('a circle and an object of a class are refused, and nothing is written', () => {
  const circle: TorchInput[] = [];
  circle.push(circle);
  const absent = join(folder, 'absent.pt');
  expect(() => saveTorch(absent, circle)).toThrow('expected data that does not contain itself');
  expect(() => saveTorch(absent, [new Date() as unknown as TorchInput])).toThrow(
    'saveTorch: expected tensors, plain data, arrays and maps, received a Date.',
  );
  expect(() => readFileSync(absent)).toThrow('ENOENT');
});

// ── beside PyTorch ────────────────────────────────────

// One process for both tests below: importing torch takes longer than all they do.
const program = `
import json, sys, torch
def show(value):
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), list(value.shape), list(value.stride()), value.double().flatten().tolist()]
    if isinstance(value, dict):
        return {"type": type(value).__name__, **{str(key): show(inner) for key, inner in value.items()}}
    return [show(inner) for inner in value] if isinstance(value, (list, tuple)) else value
plain = show(torch.load(sys.argv[1], weights_only=True))
assert plain == show(torch.load(sys.argv[1], weights_only=True, mmap=True))
torch.save(torch.load(sys.argv[2]), sys.argv[3])
print(json.dumps(plain))
`;
const [mixed, special, back] = ['mixed.pt', 'special.pt', 'back.pt'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const state = new Map(dtypes.map((dtype) => [dtype, tensor(values, { shape: [2, 3], dtype })]));
const bits = [0, -0, 1e-45, Number.NaN, Number.POSITIVE_INFINITY, 1 / 3];
const odd = new Map(dtypes.map((dtype) => [dtype, tensor(dtype.includes('f') ? bits : values, { dtype })]));
afterAll(() => dispose([state, odd]));

let seen: Record<string, unknown> | undefined;
function inPyTorch(context: TestContext): Record<string, unknown> {
  const python = requirePython(context);
  if (seen) return seen;
  saveTorch(special, odd);
  saveTorch(mixed, {
    model: state,
    view: state.get('f32')!.transpose(0, 1),
    empty: zeros([0, 3]),
    scalar: tensor([4], { dtype: 'f32' }).reshape([]),
    step: 3,
    rest: [null, 0.5, true, 'größe', 2 ** 40],
  });
  seen = runPython<Record<string, unknown>>(python, program, [mixed, special, back]);
  return seen;
}

test('torch.load(weights_only=True) reads every dtype, views, empty tensors and nested data, mapped too', (context) => {
  const found = inPyTorch(context);
  const names = ['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool'];
  const entries = dtypes.map((dtype, i) => [dtype, [`torch.${names[i]}`, [2, 3], [3, 1], values]]);
  expect(found.model).toEqual({ type: 'OrderedDict', ...Object.fromEntries(entries) });
  expect(found.view).toEqual(['torch.float32', [3, 2], [2, 1], [0, 1, 1, 1, 0, 0]]);
  expect([found.empty, found.scalar]).toEqual([
    ['torch.float32', [0, 3], [3, 1], []],
    ['torch.float32', [], [], [4]],
  ]);
  expect([found.type, found.step, found.rest]).toEqual(['dict', 3, [null, 0.5, true, 'größe', 2 ** 40]]);
});

test('ours to PyTorch and back gives the same bits, special values included', (context) => {
  inPyTorch(context);
  tidy(() => {
    const read = loadTorch(back);
    for (const [dtype, t] of odd) expect(read.get(dtype)!.toBytes(), dtype).toEqual(t.toBytes());
    return undefined;
  });
});
