import { expect, test } from 'vitest';
import { dinov2, Encoder, mae, siglip2 } from '../models/encoders/index.ts';
import { skipInit } from '../nn/index.ts';
import { ourKey, stripWrappers, tensorJoiner, theirKeys, translate, translateBack } from './key-table.ts';
import { dinov2Table, maeTable, siglipTable } from './vit-tables.ts';

const size = { width: 16, depth: 2, heads: 2, hidden: 32, patch: 4, imageSize: 12, normalize: false };

test.each([
  [dinov2Table, dinov2(size)],
  [dinov2Table, dinov2({ ...size, registers: 0, swiglu: true })],
  [maeTable, mae(size)],
  [siglipTable, siglip2(size)],
])('$name: translating back and forth gives the same tensors', (table, spec) => {
  const ours = new Encoder(spec).vit.stateDict();
  const again = translate(table, translateBack(table, ours), tensorJoiner);
  expect([...again.keys()].sort()).toEqual([...ours.keys()].sort());
  for (const [key, t] of ours) expect(again.get(key)!.eq(t).all().item()).toBe(1);
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
