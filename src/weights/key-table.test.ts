import { expect, test } from 'vitest';
import { dinov2, dinov3, Encoder, type EncoderSpec, mae, siglip2 } from '../models/encoders/index.ts';
import { skipInit } from '../nn/index.ts';
import { noGrad } from '../tensor/index.ts';
import { ourKey, stripWrappers, tensorJoiner, theirKeys, translate, translateBack } from './key-table.ts';
import { dinov2Table, dinov3GatedTable, dinov3Table, maeTable, siglipTable } from './vit-tables.ts';

/** DINOv3's keys have none: its files cannot hold one. */
function withoutKeyBias(spec: EncoderSpec): Encoder {
  const encoder = new Encoder(spec);
  noGrad(() => {
    for (const { attn } of encoder.vit.blocks) attn.qkv.bias!.narrow(0, spec.vit.width, spec.vit.width).zero_();
  });
  return encoder;
}

const size = { width: 16, depth: 2, heads: 2, hidden: 32, patch: 4, imageSize: 12, normalize: false };

test.each([
  [dinov2Table, dinov2(size)],
  [dinov2Table, dinov2({ ...size, registers: 0, swiglu: true })],
  [maeTable, mae(size)],
  [dinov3Table, withoutKeyBias(dinov3(size))],
  [dinov3GatedTable, withoutKeyBias(dinov3({ ...size, swiglu: true }))],
  [siglipTable, siglip2(size)],
])('$name: translating back and forth gives the same tensors', (table, made) => {
  const ours = (made instanceof Encoder ? made : new Encoder(made)).vit.stateDict();
  const again = translate(table, translateBack(table, ours), tensorJoiner);
  expect([...again.keys()].sort()).toEqual([...ours.keys()].sort());
  for (const [key, t] of ours) expect(again.get(key)!.eq(t).all().item()).toBe(1);
});

test('a bias that their files leave out as zero may not hold anything else', () => {
  const ours = new Encoder(dinov3(size)).vit.stateDict();
  expect(() => translateBack(dinov3Table, ours)).toThrow(/expected zeros for 'layer\.0\.attention\.k_proj\.bias'/);
});

test('query, key and value become one projection, in that order', () => {
  expect(theirKeys(maeTable, 'blocks.11.attn.qkv.bias')).toEqual(
    ['query', 'key', 'value'].map((name) => `encoder.layer.11.attention.attention.${name}.bias`),
  );
  expect(ourKey(maeTable, 'encoder.layer.3.attention.attention.value.weight')).toEqual({
    key: 'blocks.3.attn.qkv.weight',
    part: 2,
    parts: 3,
  });
});

test('a missing part of a joined key is named', () => {
  const ours = skipInit(() => new Encoder(mae(size))).vit.stateDict();
  const theirs = translateBack(maeTable, ours);
  theirs.delete('encoder.layer.1.attention.attention.key.bias');
  expect(() => translate(maeTable, theirs, tensorJoiner)).toThrow(
    /expected the keys encoder\.layer\.1\.attention\.attention\.key\.bias, received none/,
  );
});

test('prefixes of wrappers are removed in any order and number', () => {
  const stripped = stripWrappers(
    new Map([
      ['module._orig_mod.0.weight', 1],
      ['_orig_mod.module._orig_mod.module.x', 2],
      ['modules.y', 3],
    ]),
  );
  expect([...stripped.keys()]).toEqual(['0.weight', 'x', 'modules.y']);
});
