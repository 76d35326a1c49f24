// The embedded set is neither trivial nor leaky: see design of the set in synthetic.ts.
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { eye, linalgSolve, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { type SyntheticPart, syntheticClasses, syntheticImage, syntheticLabel } from './synthetic.ts';

const side = 32;
const draw = (part: SyntheticPart, count: number, size = side) =>
  Array.from({ length: count }, (_, index) => syntheticImage({ seed: 0, index, size, part }));

const train = draw('train', 2000);
const heldout = draw('heldout', 500);

/** Counts of 64 colours. */
function histogram(image: Uint8Array): number[] {
  const counts = new Array<number>(64).fill(0);
  for (let i = 0; i < image.length; i += 3) {
    counts[(image[i]! >> 6) * 16 + (image[i + 1]! >> 6) * 4 + (image[i + 2]! >> 6)]!++;
  }
  return counts;
}

/** Mean colours of cells x cells squares. */
function means(cells: number): (image: Uint8Array) => number[] {
  return (image) => {
    const sums = new Array<number>(cells * cells * 3).fill(0);
    for (let i = 0; i < image.length; i++) {
      const row = Math.floor((Math.floor(i / 3 / side) * cells) / side);
      const column = Math.floor(((Math.floor(i / 3) % side) * cells) / side);
      sums[(row * cells + column) * 3 + (i % 3)]! += image[i]!;
    }
    return sums;
  };
}

/** Best held-out accuracy of a ridge classifier on standardised features, over four strengths. */
function probe(features: (image: Uint8Array) => number[]): number {
  return tidy(() => {
    const matrix = (images: Uint8Array[]) =>
      tensor(Float64Array.from(images.flatMap(features)), { shape: [images.length, features(images[0]!).length] });
    const standardised = (x: Tensor, like: Tensor) => x.sub(like.mean([0])).div(like.std([0]).add(1e-6));
    const raw = matrix(train);
    const x = standardised(raw, raw); // [2000, D]
    const z = standardised(matrix(heldout), raw); // [500, D]
    const classes = syntheticClasses.length;
    const y = tensor(
      Float64Array.from({ length: train.length * classes }, (_, i) =>
        syntheticLabel(Math.floor(i / classes)) === i % classes ? 0.9 : -0.1,
      ),
      { shape: [train.length, classes] },
    );
    const accuracies = [0.01, 0.1, 1, 10].map((strength) => {
      const gram = x
        .t()
        .matmul(x)
        .add(eye(x.size(1), { dtype: 'f64' }).mul(strength * train.length));
      const chosen = z
        .matmul(linalgSolve(gram, x.t().matmul(y)))
        .argmax(1)
        .toNumbers();
      return chosen.filter((label, i) => label === syntheticLabel(i)).length / heldout.length;
    });
    return Math.max(...accuracies);
  });
}

it.each([
  ['colour histograms', histogram],
  ['the mean colour', means(1)],
  ['8 x 8 mean pixels', means(8)],
  ['16 x 16 mean pixels', means(16)],
] as const)('a probe on %s stays below 50 % on held-out pictures', (_, features) => {
  expect(probe(features)).toBeLessThan(0.5);
});

it('no two pictures are the same, so none of one part is in the other', () => {
  const digests = [...train, ...heldout].map((image) => createHash('sha256').update(image).digest('hex'));
  expect(new Set(digests).size).toBe(digests.length);
});

it('the same key gives the same picture, another seed another', () => {
  const image = syntheticImage({ seed: 5, index: 17 });
  expect(syntheticImage({ seed: 5, index: 17 })).toEqual(image);
  expect(syntheticImage({ seed: 6, index: 17 })).not.toEqual(image);
});

it('the set never changes: shipped weights were trained on it', () => {
  // Sums, not hashes: another version of Math.cos may move a byte by one.
  const sum = (image: Uint8Array) => image.reduce((total, byte) => total + byte, 0);
  const sums = [0, 1, 2, 3].map((index) => sum(syntheticImage({ seed: 0, index })) / 3072);
  for (const [i, expected] of [114.86, 122.55, 152.44, 137.4].entries()) expect(sums[i]).toBeCloseTo(expected, 1);
});

it('a picture is the same scene at every size', () => {
  for (const index of [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]) {
    const [small, large] = [
      syntheticImage({ seed: 1, index, size: 32 }),
      syntheticImage({ seed: 1, index, size: 128 }),
    ];
    let difference = 0;
    for (let y = 0; y < 32; y++)
      for (let x = 0; x < 32; x++)
        for (let c = 0; c < 3; c++) {
          let mean = 0;
          for (let k = 0; k < 16; k++) mean += large[((4 * y + (k >> 2)) * 128 + 4 * x + (k & 3)) * 3 + c]! / 16;
          difference += Math.abs(mean - small[(y * 32 + x) * 3 + c]!) / 3072;
        }
    expect(difference).toBeLessThan(4);
  }
});

it('shapes stand out from their background and stay in the picture', () => {
  // Pixels in the corner regions are background nearly always; the middle is the shape's for all but ring and moon.
  let contrast = 0;
  const full = train.filter((_, i) => !['ring', 'moon'].includes(syntheticClasses[syntheticLabel(i)]!));
  for (const image of full) {
    const at = (x: number, y: number) => [0, 1, 2].map((c) => image[(y * side + x) * 3 + c]!);
    const [middle, corner] = [at(16, 16), at(0, 31)];
    contrast += Math.hypot(...middle.map((v, c) => v - corner[c]!)) / full.length;
  }
  expect(contrast).toBeGreaterThan(100);
});

it('refuses sizes and indices that are none', () => {
  expect(() => syntheticImage({ seed: 0, index: 0, size: 7 })).toThrow(/a size of at least 8, received 7/);
  expect(() => syntheticImage({ seed: 0, index: -1 })).toThrow(/an index from 0, received -1/);
});
