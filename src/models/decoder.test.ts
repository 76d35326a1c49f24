import { expect, test } from 'vitest';
import { skipInit } from '../nn/index.ts';
import { randn } from '../tensor/index.ts';
import { Decoder, decoderViTB, decoderViTL, decoderViTXL } from './decoder.ts';

const tiny = { channels: 8, width: 16, depth: 1, heads: 2, hidden: 32, patch: 2, tokens: 9 };

test('a number of tokens that is no square is refused, at building and at decoding', () => {
  expect(() => new Decoder({ ...tiny, tokens: 8 })).toThrow(
    'Decoder: expected a square number of tokens, received 8. Use square images.',
  );
  expect(() => new Decoder(tiny).forward(randn([1, 5, 8]))).toThrow(/square number of tokens, received 5/);
});

test('the position table begins as zeros for the class token, then the fixed table with the column first', () => {
  const rows = new Decoder({ ...tiny, width: 1152, tokens: 256 }).decoder_pos_embed;
  expect(rows.shape).toEqual([1, 257, 1152]);
  expect(rows.select(1, 0).abs().max().item()).toBe(0);
  const second = rows.select(1, 2).toNumbers(); // row 0, column 1
  expect(second[0]).toBeCloseTo(0.841471, 6);
  expect(second[288]).toBeCloseTo(0.540302, 6);
  expect([second[576], second[864]]).toEqual([0, 1]);
});

test('the published sizes have the published numbers of parameters', () => {
  const size = { channels: 768, patch: 16, tokens: 256 };
  for (const [build, parameters] of [
    [decoderViTB, 86_435_328],
    [decoderViTL, 304_150_272],
    [decoderViTXL, 415_352_704],
  ] as const) {
    const decoder = skipInit(() => build(size));
    expect(decoder.numParameters()).toBe(parameters);
    decoder.dispose();
  }
});
