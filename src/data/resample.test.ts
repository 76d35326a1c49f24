import { expect, it } from 'vitest';
import { type Picture, resample, resampleSync, type Step } from './resample.ts';

/** A picture of seeded noise; large enough that a wrong row or column shows. */
function noise(width: number, height: number, channels = 3): Picture {
  const data = new Uint8Array(width * height * channels).map((_, i) => Math.imul(i + 1, 0x9e3779b9) >>> 24);
  return { width, height, channels, data };
}

it('a crop after a resize equals the same part of the whole resize', () => {
  const picture = noise(61, 47);
  for (const filter of ['box', 'bilinear', 'bicubic', 'hamming', 'lanczos'] as const) {
    for (const size of [
      [30, 20],
      [61, 80],
      [90, 47],
      [61, 47],
    ] as const) {
      const resize: Step = { resize: size, filter };
      const crop: Step = { crop: [3, 5, 20, 11] };
      expect(resampleSync(picture, [resize, crop])).toEqual(resampleSync(resampleSync(picture, [resize]), [crop]));
    }
  }
});

it('works off the main thread as on it, for 1 to 4 channels', async () => {
  for (const channels of [1, 2, 3, 4]) {
    const picture = noise(40, 33, channels);
    const steps: Step[] = [
      { resize: [20, 16], filter: 'box' },
      { resize: [33, 9], filter: 'bicubic' },
      { mirror: true },
    ];
    expect(await resample(picture, steps)).toEqual(resampleSync(picture, steps));
  }
});

it('many at once come out right, each in its own slot', async () => {
  const pictures = Array.from({ length: 40 }, (_, i) => noise(30 + i, 31));
  const step: Step = { resize: [8, 8], filter: 'bicubic' };
  const slots = new Uint8Array(40 * 192);
  await Promise.all(pictures.map((p, i) => resample(p, [step], slots.subarray(i * 192, (i + 1) * 192))));
  for (const [i, p] of pictures.entries())
    expect(slots.slice(i * 192, (i + 1) * 192)).toEqual(resampleSync(p, [step]).data);
});

it('a crop beyond the picture is black there, and no steps copy', () => {
  const picture: Picture = { width: 1, height: 1, channels: 1, data: Uint8Array.of(9) };
  expect([...resampleSync(picture, [{ crop: [-1, -1, 3, 2] }]).data]).toEqual([0, 0, 0, 0, 9, 0]);
  expect([...resampleSync(picture, [{ crop: [5, 5, 2, 1] }]).data]).toEqual([0, 0]);
  expect([...resampleSync(picture, []).data]).toEqual([9]);
});

it('refuses what cannot be done, before anything runs', async () => {
  const picture = noise(4, 4);
  const wrong: [Picture, Step[], Uint8Array?][] = [
    [picture, [{ resize: [0, 4], filter: 'box' }]],
    [picture, [{ crop: [0, 0, 2.5, 2] }]],
    [picture, [{ crop: [0, 0, Number.NaN, 2] }]],
    [picture, [], new Uint8Array(47)],
    [{ ...picture, width: 5 }, []],
    [{ ...picture, channels: 5 }, []],
    [{ ...picture, data: new Uint16Array(48) as unknown as Uint8Array }, []],
    [picture, [{ resize: [2 ** 21, 2 ** 21], filter: 'box' }], new Uint8Array(1)],
  ];
  for (const [source, steps, into] of wrong) {
    expect(() => resampleSync(source, steps, into)).toThrow(/resample/);
    await expect(resample(source, steps, into)).rejects.toThrow(/resample/);
  }
});
