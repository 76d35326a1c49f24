// Damaged files: bytes near well-formed ones. A mutation is plain data (operation, place, value), so that fast-check shrinks a failing
// input to the few edits that matter. Parsers with check sums or lengths around their payload mutate the payload and wrap it anew.

import fc from 'fast-check';

type Bytes = Uint8Array;

/** Numbers that headers lie with: 0, signs, powers of two and their neighbours, beyond 2^53. */
const NUMBERS = [0n, 1n, 2n, 7n, 127n, 128n, 255n, 256n, 32767n, 65535n, 65536n, 2n ** 31n - 1n, 2n ** 31n].concat([
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  -1n,
]);
const TEXTS = [
  '-1',
  '0',
  '1e999',
  '99999999999999999999',
  '4.5',
  'NaN',
  'null',
  '""',
  '[]',
  '{}',
  '[['.repeat(40),
  "'",
  '\\',
  '\0',
];

interface Edit {
  how: 'byte' | 'bit' | 'number' | 'digits' | 'delete' | 'repeat' | 'text' | 'move' | 'cut' | 'grow';
  at: number;
  to: number;
  value: number;
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edit: fc.Arbitrary<Edit> = fc.record({
  how: fc.constantFrom(
    'byte',
    'byte',
    'bit',
    'number',
    'number',
    'digits',
    'digits',
    'delete',
    'repeat',
    'text',
    'move',
    'cut',
    'grow',
  ),
  at: fraction,
  to: fraction,
  value: fc.nat(0xffff),
});

/** Up to six edits of one of `seeds`. `words`: pieces of the format that may turn up anywhere. */
export function damaged(
  seeds: readonly Bytes[],
  { words = [] }: { words?: readonly string[] } = {},
): fc.Arbitrary<Bytes> {
  const texts = [...TEXTS, ...words].map((text) => Buffer.from(text, 'latin1'));
  return fc
    .tuple(fc.nat(seeds.length - 1), fc.array(edit, { maxLength: 6 }))
    .map(([seed, edits]) => edits.reduce((bytes, one) => apply(bytes, one, texts), seeds[seed]!));
}

function apply(bytes: Bytes, { how, at, to, value }: Edit, texts: readonly Bytes[]): Bytes {
  if (bytes.length === 0) return Uint8Array.of(value & 255);
  const i = Math.floor(at * bytes.length);
  const j = Math.min(bytes.length, i + 1 + Math.floor(to * to * to * (bytes.length - i))); // short ranges are likelier
  const copy = Uint8Array.from(bytes);
  switch (how) {
    case 'byte':
      copy[i] = value & 255;
      return copy;
    case 'bit':
      copy[i]! ^= 1 << (value & 7);
      return copy;
    case 'number':
      return splice(bytes, i, i + (1 << (value & 3)), littleEndian(NUMBERS[value % NUMBERS.length]!, 1 << (value & 3)));
    case 'digits': {
      const run = digitsNear(bytes, i);
      return splice(bytes, run.from, run.to, Buffer.from(String(NUMBERS[value % NUMBERS.length])));
    }
    case 'delete':
      return splice(bytes, i, j);
    case 'repeat':
      return splice(bytes, i, i, bytes.subarray(i, j));
    case 'text':
      return splice(bytes, i, value & 1 ? j : i, texts[value % texts.length]);
    case 'move':
      return splice(splice(bytes, i, j), Math.floor(to * i), Math.floor(to * i), bytes.subarray(i, j));
    case 'cut':
      return bytes.slice(0, i);
    case 'grow':
      return splice(bytes, bytes.length, bytes.length, new Uint8Array(value & 1023).fill(value >> 8));
  }
}

const digit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** The first run of decimal digits from `at` on; empty where there is none. */
function digitsNear(bytes: Bytes, at: number): { from: number; to: number } {
  let from = at;
  while (from > 0 && digit(bytes[from - 1])) from--;
  while (from < bytes.length && !digit(bytes[from])) from++;
  let to = from;
  while (digit(bytes[to])) to++;
  return { from, to };
}

function littleEndian(value: bigint, width: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes.subarray(0, width);
}

function splice(bytes: Bytes, from: number, to: number, insert: Bytes = new Uint8Array(0)): Bytes {
  return Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(to)]);
}
