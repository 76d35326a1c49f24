// The weights of LPIPS as people have them: one file, or two, the network's (torchvision's vgg16) and its heads' (vgg.pth).

import { existsSync } from 'node:fs';
import type { Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { resolveWeights } from '../weights/index.ts';
import { withTensors } from './tensors.ts';

/** The files that `--lpips` names, separated by a comma. ConfigError for one that does not exist. */
export function lpipsFiles(text: string): string[] {
  const names = existsSync(text) ? [text] : text.split(',');
  return names.map((name) => {
    const file = resolveWeights(name, '--lpips');
    if (existsSync(file)) return file;
    throw new ConfigError(expected('--lpips', 'an existing file, or two separated by a comma (network,heads)', name));
  });
}

/** Runs `use` with the tensors of all these files together and frees them afterwards. */
export function withLpipsTensors<T>(text: string, use: (weights: ReadonlyMap<string, Tensor>) => T): T {
  const collect = (files: readonly string[], found: ReadonlyMap<string, Tensor>): T => {
    const [first, ...rest] = files;
    if (first === undefined) return use(found);
    return withTensors(first, (tensors) => collect(rest, new Map([...found, ...tensors])));
  };
  return collect(lpipsFiles(text), new Map());
}
