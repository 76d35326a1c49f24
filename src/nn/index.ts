// Layers and the Module they are built from; one layer a file.

export { type AttentionOptions, attention, mergeHeads, splitHeads } from './attention.ts';
export { castProducts } from './cast-products.ts';
export { Conv2d, type Conv2dOptions, type Pair } from './conv2d.ts';
export { Embedding } from './embedding.ts';
export { type ActivationName, activation, activations, modulate } from './functional.ts';
export { GroupNorm } from './group-norm.ts';
export * as init from './init.ts';
export { type InitOptions, skipInit } from './init.ts';
export { LayerNorm, type LayerNormOptions } from './layer-norm.ts';
export { Linear } from './linear.ts';
export { type LoadOptions, Module, type Slot, slotsOf } from './module.ts';
export { buffer, type Parameter, parameter } from './parameter.ts';
export { RMSNorm } from './rms-norm.ts';
export { checkKeys, copyStateDict, type KeyReport, type Shaped, type StateDict } from './state-dict.ts';
