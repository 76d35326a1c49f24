// The weights of matrix products and convolutions in bfloat16 once and for all, where autocast casts them again at every use.
// The numbers are the same, for inference under autocast: half the memory, and no time for casting.

import { Conv2d } from './conv2d.ts';
import { Linear } from './linear.ts';
import type { Module } from './module.ts';

/** Replaces the weights of all linear layers and convolutions of `module`. It is to be used under autocast from now on, and not trained. */
export function castProducts<T extends Module>(module: T): T {
  const multiplies = (holder: object) => holder instanceof Linear || holder instanceof Conv2d;
  return module
    .requiresGrad_(false)
    .to({ dtype: 'bf16', where: ({ holder, property }) => property === 'weight' && multiplies(holder) });
}
