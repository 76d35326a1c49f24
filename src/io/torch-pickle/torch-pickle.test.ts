import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryStats, tidy } from '../../tensor/index.ts';
import { DataError, RaeError } from '../../util/errors.ts';
import { memorySource } from '../file-reader.ts';
import { ZipReader } from '../zip.ts';
import { zipPieces } from '../zip-writer.ts';
import { collectTensors, loadTorch, materialise, readTorch, toTensors } from './index.ts';

const path = join(mkdtempSync(join(tmpdir(), 'rae-torch-')), 'x.pt');

// ── a pickle writer of a few lines ────────────────────
type Bytes = Uint8Array;
const cat = (...parts: Bytes[]): Bytes => Buffer.concat(parts);
const raw = (text: string): Bytes => Buffer.from(text, 'latin1');
const u32 = (n: number): Bytes => Buffer.from(new Int32Array([n]).buffer);
const str = (text: string) => cat(raw('X'), u32(Buffer.byteLength(text)), Buffer.from(text));
const int = (n: number) => cat(raw('J'), u32(n));
const named = (module: string, name: string) => raw(`c${module}\n${name}\n`);
const tuple = (...items: Bytes[]) => cat(raw('('), ...items, raw('t'));
const ints = (values: number[]) => tuple(...values.map(int));
const dict = (entries: Record<string, Bytes>) =>
  cat(raw('}('), ...Object.entries(entries).flatMap(([key, value]) => [str(key), value]), raw('u'));
const ordered = cat(named('collections', 'OrderedDict'), raw(')R'));
const storage = (type: string, key: string, elements: number) =>
  cat(tuple(str('storage'), named('torch', type), str(key), str('cuda:0'), int(elements)), raw('Q'));
const tensorOf = (of: Bytes, { offset = 0, size, stride }: { offset?: number; size: number[]; stride: number[] }) =>
  cat(
    named('torch._utils', '_rebuild_tensor_v2'),
    tuple(of, int(offset), ints(size), ints(stride), raw('\x89'), ordered),
    raw('R'),
  );
const pickle = (value: Bytes) => cat(raw('\x80\x02'), value, raw('.'));

function zipFile(value: Bytes, storages: Record<string, Bytes> = {}): Bytes {
  const entries = Object.entries(storages).map(([key, data]) => ({ name: `a/data/${key}`, data }));
  return cat(...zipPieces([{ name: 'a/data.pkl', data: pickle(value) }, ...entries], { align: 64 }));
}

function legacyFile(value: Bytes, storages: Record<string, Bytes>, width = 4): Bytes {
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
  const keys = cat(raw(']('), ...Object.keys(storages).map(str), raw('e'));
  const data = Object.values(storages).flatMap((bytes) => [
    Buffer.from(new BigInt64Array([BigInt(bytes.length / width)]).buffer),
    bytes,
  ]);
  return cat(
    magic,
    pickle(int(1001)),
    pickle(dict({ little_endian: raw('\x88') })),
    pickle(value),
    pickle(keys),
    ...data,
  );
}

const f32 = (...values: number[]): Bytes => new Uint8Array(new Float32Array(values).buffer);
const six = f32(1, 2, 3, 4, 5, 6);
const model = dict({
  w: tensorOf(storage('FloatStorage', '0', 6), { size: [2, 3], stride: [3, 1] }),
  'w.T': tensorOf(storage('FloatStorage', '0', 6), { size: [3, 2], stride: [1, 3] }),
  tail: tensorOf(storage('FloatStorage', '0', 6), { offset: 4, size: [2], stride: [1] }),
});
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

test.each([
  ['zip', zipFile(model, { 0: six })],
  ['legacy', legacyFile(model, { 0: six })],
])('damaged and random %s files give values or an error of ours', (_, bytes) => {
  const good = Uint8Array.from(bytes);
  const damaged = fc
    .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    .map((edits) => {
      const copy = good.slice();
      for (const [at, byte] of edits) copy[at] = byte;
      return copy;
    });
  const opcodes = fc
    .array(fc.constantFrom(...'()]}.NRbtaeuslq\0h\0Q2010c\x85\x86\x87\x88\x89\x8f\x90\x91\x94K\x05'), { maxLength: 60 })
    .map((codes) => zipFile(raw(codes.join('')), { 0: six }));
  const inputs = fc.oneof(
    damaged,
    opcodes,
    fc.nat(good.length).map((length) => good.slice(0, length)),
  );
  fc.assert(
    fc.property(inputs, (input) => {
      try {
        const value = read(input);
        for (const tensor of collectTensors(value, { name: path }).values()) materialise(tensor, path);
      } catch (error) {
        if (!(error instanceof RaeError)) throw error;
      }
    }),
    { numRuns: 400 },
  );
});

test('the file a tensor came from may shrink: an error, not a crash', () => {
  const value = read(zipFile(model, { 0: six }));
  writeFileSync(path, readFileSync(path).subarray(0, 40));
  const [tensor] = collectTensors(value, { name: path }).values();
  expect(() => materialise(tensor!, path)).toThrow(DataError);
});
