import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type Bytes,
  cat,
  dict,
  int,
  ints,
  legacyFile,
  model,
  named,
  ordered,
  pickle,
  raw,
  six,
  storage,
  str,
  tensorOf,
  tuple,
  zipFile,
} from '../../../test/fuzz/torch-files.ts';
import { memoryStats, tidy } from '../../tensor/index.ts';
import { DataError } from '../../util/errors.ts';
import { memorySource } from '../file-reader.ts';
import { ZipReader } from '../zip.ts';
import { collectTensors, loadTorch, materialise, readTorch, toTensors } from './index.ts';

const path = join(mkdtempSync(join(tmpdir(), 'rae-torch-')), 'x.pt');

const read = (bytes: Bytes) => {
  writeFileSync(path, bytes);
  return readTorch(path);
};

test.each(['zip', 'legacy'])(
  'a %s container gives views that share their storage, read or mapped, and nothing leaks',
  (kind) => {
    writeFileSync(path, kind === 'zip' ? zipFile(model, { 0: six }) : legacyFile(model, { 0: six }));
    const before = memoryStats().tensors;
    for (const mmap of [false, true]) {
      tidy(() => {
        const state = loadTorch(path, { mmap });
        expect(state.get('w.T')!.toNumbers()).toEqual([1, 4, 2, 5, 3, 6]);
        expect(state.get('tail')!.toNumbers()).toEqual([5, 6]);
        expect(state.get('w')!.sharesMemory(state.get('w.T')!)).toBe(true);
        return undefined;
      });
    }
    expect(memoryStats().tensors).toBe(before);
  },
);

test('newer dtypes come on untyped storages', () => {
  const of = (key: string, n: number) =>
    cat(tuple(str('storage'), named('torch.storage', 'UntypedStorage'), str(key), str('cpu'), int(n)), raw('Q'));
  const v3 = (key: string, bytes: number, dtype: string, size: number) =>
    cat(
      named('torch._utils', '_rebuild_tensor_v3'),
      tuple(of(key, bytes), int(0), ints([size]), ints([1]), raw('\x89'), ordered, named('torch', dtype)),
      raw('R'),
    );
  const value = read(
    zipFile(dict({ f8: v3('0', 2, 'float8_e4m3fn', 2), u16: v3('1', 4, 'uint16', 2) }), {
      0: new Uint8Array([0x38, 0xb8]),
      1: new Uint8Array([1, 0, 255, 255]),
    }),
  );
  tidy(() => {
    const tensors = toTensors(collectTensors(value, { name: path }), { name: path, widen: true });
    expect(tensors.get('f8')!.toNumbers()).toEqual([1, -1]);
    expect(tensors.get('u16')!.toNumbers()).toEqual([1, 65535]);
    return undefined;
  });
});

test('reading the object reads no data: damage there shows when the tensor is asked for', () => {
  const bytes = Uint8Array.from(zipFile(model, { 0: six }));
  const at = new ZipReader(memorySource(bytes, 'x')).dataOffset('a/data/0');
  bytes[at] = bytes[at]! ^ 1;
  const value = read(bytes);
  expect([...collectTensors(value, { name: path }).keys()]).toEqual(['w', 'w.T', 'tail']);
  expect(() => loadTorch(path)).toThrow(/data\/0': the CRC-32 check sum is wrong/);
});

test('attributes of a state dict are ignored, a parameter keeps its tensor', () => {
  const parameter = cat(
    named('torch._utils', '_rebuild_parameter'),
    tuple(tensorOf(storage('FloatStorage', '0', 6), { size: [6], stride: [1] }), raw('\x88'), ordered),
    raw('R'),
  );
  const value = read(
    zipFile(cat(ordered, raw('('), str('p'), parameter, raw('u'), dict({ _metadata: ordered }), raw('b')), { 0: six }),
  );
  const { p } = Object.fromEntries(collectTensors(value, { name: path }));
  expect(p?.view).toMatchObject({ parameter: true, requiresGrad: true, shape: [6] });
});

test.each([
  [
    'a function of the system',
    cat(named('os', 'system'), tuple(str('id')), raw('R')),
    /refused: the file asks for os.system, which could run code/,
  ],
  ['an unknown class', named('my.models', 'Net'), /my.models.Net, an object of that class.*save model.state_dict\(\)/],
  ['a torch name off the list', named('torch', 'load'), /torch.load, which is not on the list/],
  ['calling a plain value', cat(str('x'), tuple(), raw('R')), /expected an allowed function to call/],
  ['attributes on a list', cat(raw(']'), dict({}), raw('b')), /received BUILD on something else/],
  ['INST', raw('(ios\nsystem\n'), /INST, which makes an object of any class/],
])('%s is refused with the reason', (_, value, reason) => {
  expect(() => read(zipFile(value))).toThrow(reason);
});

test('a view that leaves its storage, and one that would grow without bound, are refused', () => {
  const of = storage('FloatStorage', '0', 6);
  expect(() => read(zipFile(tensorOf(of, { size: [2, 4], stride: [4, 1] }), { 0: six }))).toThrow(
    /inside its storage of 6 elements, received one that reaches 7/,
  );
  const wide = read(zipFile(dict({ w: tensorOf(of, { size: [1 << 20, 1 << 20], stride: [0, 0] }) }), { 0: six }));
  const found = collectTensors(wide, { name: path });
  expect(() => materialise(found.get('w')!, path)).toThrow(/received a view of 4398046511104 bytes/);
  tidy(() => {
    expect(toTensors(found, { name: path }).get('w')!.numel).toBe(2 ** 40); // as a view it costs nothing
    return undefined;
  });
});

test('nesting without end does not overflow the stack, sharing without end does not explode', () => {
  const deep = cat(raw(']'.repeat(100_000)), raw('a'.repeat(99_999)));
  expect(collectTensors(read(zipFile(deep)), { name: path }).size).toBe(0);
  // Each list holds the one before it twice: 2^40 leaves when expanded.
  const doubled = Array.from({ length: 40 }, (_, i) =>
    cat(
      raw('('),
      cat(raw('h'), Uint8Array.of(i)),
      cat(raw('h'), Uint8Array.of(i)),
      raw('l'),
      raw('q'),
      Uint8Array.of(i + 1),
    ),
  );
  const laughs = read(zipFile(cat(raw(']q\0'), ...doubled)));
  expect(() => collectTensors(laughs, { name: path })).toThrow(/at most 1000000 values/);
});

test('what is no checkpoint is named for what it is', () => {
  expect(() => read(raw('<!DOCTYPE html><title>404</title>'))).toThrow(
    /expected a PyTorch checkpoint, received an HTML page/,
  );
  expect(() => read(raw('version https://git-lfs.github.com/spec/v1\n'))).toThrow(/git-lfs pointer/);
  expect(() => read(pickle(int(3)))).toThrow(/received another pickle/);
});

test('the file a tensor came from may shrink: an error, not a crash', () => {
  const value = read(zipFile(model, { 0: six }));
  writeFileSync(path, readFileSync(path).subarray(0, 40));
  const [tensor] = collectTensors(value, { name: path }).values();
  expect(() => materialise(tensor!, path)).toThrow(DataError);
});
