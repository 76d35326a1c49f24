import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { saveSafetensors, saveTorch } from '../io/index.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { full, rand } from '../tensor/index.ts';
import { withLpipsTensors } from './lpips-tensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-lpips-'));
const trunk = new SqueezeNet();
const heads = new Map(trunk.channels.map((C, i) => [`lin${i}.model.1.weight`, full([1, C, 1, 1], 0.1)]));

test('a network and its heads may come in two files of any kind, and give what one file gives', () => {
  const [network, headsFile, both] = ['squeezenet.pth', 'heads.safetensors', 'both.safetensors'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  saveTorch(network, trunk.stateDict());
  saveSafetensors(headsFile, heads);
  saveSafetensors(both, new Map([...trunk.stateDict(), ...heads]));
  const [a, b] = [rand([1, 3, 64, 64]), rand([1, 3, 64, 64])];
  const distance = (files: string) => withLpipsTensors(files, lpipsFromWeights).forward(a, b).item();
  expect(distance(`${network},${headsFile}`)).toBe(distance(both));
  expect(() => distance(headsFile)).toThrow('need the file of their network beside them');
  expect(() => distance(`${network},gone.pth`)).toThrow(/--lpips: expected an existing file, .* received 'gone.pth'/);
});
