// What could go wrong with arguments: wrong kinds, counts and sizes, other dtypes and devices, handles that are none. Each is an
// error of the right class whose sentence names the place, what was expected and what came.
import { describe, expect, it } from 'vitest';
import { native } from '../../src/binding/load.ts';
import * as t from '../../src/tensor/index.ts';
import { ArgumentError, DisposedError, EngineError, NativeError, ShapeError } from '../../src/util/errors.ts';

/** What JavaScript may pass although TypeScript would not. */
const as = <T>(value: unknown): T => value as T;
const x = t.keep(t.ones([2, 3]));
const i64 = (...values: number[]) => t.tensor(values, { dtype: 'i64' });

type Case = readonly [what: string, run: () => unknown, error: new (message: string) => Error, message: RegExp];

function cases(title: string, list: readonly Case[]): void {
  describe(title, () => {
    it.each(list)('%s', (_, run, error, message) => {
      const live = t.memoryStats().tensors;
      const within = () => t.tidy(run);
      expect(within).toThrow(error);
      expect(within).toThrow(message);
      expect(t.memoryStats().tensors).toBe(live);
    });
  });
}

cases('something that is no tensor', [
  ['a number', () => x.matmul(as(3)), ArgumentError, /matmul: expected 'other' to be a Tensor, received 3\.$/],
  ['a text', () => x.add(as('a')), ArgumentError, /'other' to be a Tensor, received 'a'/],
  ['a bigint', () => x.add(as(5n)), ArgumentError, /'other' to be a Tensor, received 5n/],
  ['an object', () => x.add(as({})), ArgumentError, /'other' to be a Tensor, received an object/],
  ['nothing', () => x.matmul(as(undefined)), ArgumentError, /'other' to be a Tensor, received undefined/],
  ['a bias of the wrong kind', () => t.linear(x, x, as(0)), ArgumentError, /'bias' to be a Tensor, received 0/],
  ['among a list', () => t.cat([x, as(7)]), ArgumentError, /tensors\[1\]: expected a Tensor, received 7/],
  ['a gap in a list', () => t.stack([x, as(undefined)]), ArgumentError, /tensors\[1\]: expected a Tensor/],
  ['one tensor for a list', () => t.cat(as(x)), ArgumentError, /expected an array of Tensors, received a Tensor/],
  ['a generator', () => t.randn([2], { generator: as(42) }), ArgumentError, /expected a Generator, received 42/],
  ['to keep', () => t.keep(as(5)), ArgumentError, /keep: expected a Tensor, received 5/],
  [
    'to differentiate',
    () => t.backward(as('loss')),
    ArgumentError,
    /to be an array of whole numbers|a Tensor|whole number/,
  ],
]);

cases('numbers', [
  ['NaN as a size', () => t.zeros([Number.NaN]), ArgumentError, /'size' to be a whole number, received NaN/],
  ['a fraction as a size', () => t.zeros([1.5]), ArgumentError, /'size' to be a whole number, received 1\.5/],
  ['a negative size', () => t.zeros([-1]), NativeError, /zeros \(\[-1\]\).*negative/],
  ['a size beyond 2^53', () => t.zeros([1e300]), ArgumentError, /whole number, received 1e\+300|1\.0+1e\+300/],
  ['sizes whose product overflows', () => t.empty([2 ** 40, 2 ** 40]), NativeError, /overflow/],
  ['a bigint size of 2^62', () => t.empty([as(2n ** 62n)]), NativeError, /overflow/],
  [
    'a text for a shape',
    () => t.zeros(as('ab')),
    ArgumentError,
    /'size' to be an array of whole numbers, received 'ab'/,
  ],
  ['no shape', () => t.zeros(as(undefined)), ArgumentError, /expected 'size', received nothing/],
  ['NaN as a dimension', () => x.sum([Number.NaN]), ArgumentError, /'dim' to be a whole number, received NaN/],
  ['a dimension that is not there', () => x.sum([5]), NativeError, /Dimension out of range/],
  ['a fractional dimension', () => x.size(0.5), ShapeError, /expected a dimension .* received 0\.5/],
  ['another rank', () => x.dims(3), ShapeError, /expected a tensor of 3 dimensions, received one of shape \[2,3\]/],
  ['a text for a number', () => x.clamp(as('0')), ArgumentError, /'min' to be a number, received '0'/],
  ['a range without an end', () => t.arange(Number.POSITIVE_INFINITY), NativeError, /arange/],
  ['a negative number of steps', () => t.linspace(0, 1, -1), NativeError, /non-negative/],
  ['no thread at all', () => t.setThreads(0), ArgumentError, /between 1 and 4096, received 0/],
  ['a seed below zero', () => t.manualSeed(-1), ArgumentError, /from 0 to 2\^53 - 1, received -1/],
  ['a seed that is NaN', () => new t.Generator(Number.NaN), ArgumentError, /seed: .* received NaN/],
]);

cases('data', [
  ['undefined among numbers', () => t.tensor(as([1, undefined])), ArgumentError, /a number.*received undefined/],
  ['texts', () => t.tensor(as([1, '2'])), ArgumentError, /a number.*received '2'/],
  ['texts under a given shape', () => t.tensor(as(['1']), { shape: [1] }), ArgumentError, /a number.*received '1'/],
  ['bigints', () => t.tensor(as([1n])), ArgumentError, /a number.*received 1n/],
  ['nothing', () => t.tensor(as(null)), ArgumentError, /received null/],
  [
    'too few numbers for a shape',
    () => t.tensor([1, 2], { shape: [3] }),
    ShapeError,
    /3 numbers for shape \[3\], received 2/,
  ],
  ['rows of different lengths', () => t.tensor([[1, 2], [3]]), ShapeError, /2 items, received 1/],
  ['a bottomless array', () => t.tensor(endless()), ShapeError, /at most 64 dimensions/],
  [
    'an Int8Array',
    () => t.tensor(as(new Int8Array(2))),
    ArgumentError,
    /expected a Float32Array.*received a Int8Array/,
  ],
  ['raw 16-bit words without a dtype', () => t.tensor(new Uint16Array(2)), ArgumentError, /dtype f16 or bf16/],
  ['300 as u8', () => t.tensor([300], { dtype: 'u8' }), ArgumentError, /from 0 to 255 for dtype u8, received 300/],
  ['2 as bool', () => t.tensor([2], { dtype: 'bool' }), ArgumentError, /from 0 to 1 for dtype bool, received 2/],
  ['NaN as i32', () => t.tensor([Number.NaN], { dtype: 'i32' }), ArgumentError, /dtype i32, received NaN/],
  ['a fraction as i64', () => i64(1.5), ArgumentError, /dtype i64, received 1\.5/],
  [
    'a typed array of another length',
    () => t.tensor(new Float32Array(3), { shape: [4] }),
    ArgumentError,
    /16 bytes.*12/,
  ],
]);

function endless(): t.Nested {
  const loop: t.Nested[] = [];
  loop.push(loop);
  return loop;
}

cases('dtypes and devices', [
  ['an unknown dtype', () => t.zeros([1], { dtype: as('float') }), ArgumentError, /one of u8.*received 'float'/],
  [
    'a dtype named like a method',
    () => t.zeros([1], { dtype: as('constructor') }),
    ArgumentError,
    /received 'constructor'/,
  ],
  ['an unknown reduction', () => t.mseLoss(x, x, as('toString')), ArgumentError, /'mean', 'sum' or 'none'/],
  ['a device that nobody makes', () => x.to({ device: as('gpu') }), ArgumentError, /'cpu' or 'cuda:0', received 'gpu'/],
  ['a device without memory', () => t.zeros([1], { device: as('meta') }), ArgumentError, /received 'meta'/],
  ['no device at all', () => t.zeros([1], { device: as(5) }), ArgumentError, /'device' to be a string, received 5/],
  ['a target that is none', () => x.to(as(6)), ArgumentError, /a dtype or \{ dtype, device \}, received 6/],
  ['operands of two dtypes', () => x.matmul(t.ones([3, 1], { dtype: 'f64' })), NativeError, /f32\[2, 3\], f64\[3, 1\]/],
  ['indices that are fractions', () => t.embedding(x, t.ones([1])), NativeError, /f32\[2, 3\], f32\[1\].*indices/],
  ['autocast to f32', () => t.autocast({ dtype: 'f32' }, () => 0), ArgumentError, /'bf16' or 'f16', received 'f32'/],
]);

describe.skipIf(t.versions().cudaDevices > 0)('a CUDA device where there is none', () => {
  cases('is said to be missing', [
    ['for a new tensor', () => t.zeros([1], { device: 'cuda:0' }), ArgumentError, /sees no CUDA device.*'cuda:0'/],
    ['for a copy', () => x.to({ device: 'cuda:0' }), ArgumentError, /sees no CUDA device/],
    ['for a generator', () => new t.Generator(1, { device: 'cuda:1' }), ArgumentError, /sees no CUDA device/],
  ]);
});

cases('indices out of range', [
  ['of an embedding', () => t.embedding(x, i64(5)), NativeError, /out of range/],
  ['to gather', () => x.gather(1, t.tensor([[7]], { dtype: 'i64' })), NativeError, /index 7 is out of bounds/],
  ['to select', () => x.indexSelect(1, i64(-9)), NativeError, /index/i],
  ['to scatter', () => x.scatter(1, t.tensor([[7]], { dtype: 'i64' }), t.ones([1, 1])), NativeError, /index 7/],
  ['of a class', () => t.crossEntropy(x, i64(7, 0)), NativeError, /Target 7 is out of bounds/],
]);

cases('operators by name', [
  ['one that does not exist', () => t.call('aten::nonesuch', []), EngineError, /received 'aten::nonesuch'.*rae doctor/],
  ['too many arguments', () => t.call('aten::neg', [x, 1, 2]), ArgumentError, /at most 1 arguments, received 3/],
  ['more than any operator takes', () => t.call('aten::neg', Array(60).fill(1)), ArgumentError, /received 60/],
  ['too few', () => t.call('aten::mm', [x]), ArgumentError, /expected 'mat2', received nothing/],
  ['a text with a NUL', () => t.einsum('ij,\0jk->ik', [x, x.t()]), NativeError, /einsum.*invalid/],
]);

describe('numbers that are no handles, given to the addon itself', () => {
  const addon = native();
  const { handle } = x;
  const wrong = [
    0,
    -1,
    0.5,
    handle + 0.5,
    handle + 2 ** 32,
    2 ** 31,
    2 ** 30,
    1e300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ];
  it.each(wrong)('%s is nobody', (n) => {
    for (const use of [addon.shapeOf, addon.item, addon.gradOf, addon.isLeaf])
      expect(() => use(n)).toThrow(DisposedError);
    expect(() => addon.call(addon.findOperator('aten::neg', ''), n)).toThrow(DisposedError);
    expect(() => addon.backward([n], undefined, false)).toThrow(/live tensor|whole number/);
    expect(addon.free(n)).toBe(false);
    addon.freeListed(n);
    expect(x.shape).toEqual([2, 3]);
  });

  // Functions that take such a value by design, or change the process.
  const others =
    /^(set|clear|install|tune|autocastNesting|memoryStats|versions|getThreads|interrupted|free|findOperator|schemaOf|manualSeed)/;
  const values = [undefined, null, 'a', {}, [], () => 1, 5n].map((value) => ({ value }));
  it.each(values)('$value is refused by every function', ({ value }) => {
    const live = t.memoryStats().tensors;
    for (const [name, use] of Object.entries(addon) as [string, (...args: unknown[]) => unknown][]) {
      if (others.test(name)) continue;
      if (!Array.isArray(value)) expect(() => use(value, value, value, value, value, value), name).toThrow();
      expect(() => use(), name).toThrow();
    }
    expect(t.memoryStats().tensors).toBe(live);
  });

  it('operators are numbers of the table, nothing else', () => {
    for (const id of [0, -1, 1.5, 1e9, Number.NaN, undefined, 'neg']) {
      expect(() => addon.call(as(id), handle)).toThrow(/expected the number of an operator/);
    }
  });

  it('codes of dtypes are those that can be made here', () => {
    for (const code of [-1, 12, 99, 256, 2 ** 32 + 6]) {
      expect(() => addon.fromArray(new Uint8Array(4), code, [4])).toThrow(/the code of a dtype/);
    }
  });
});
