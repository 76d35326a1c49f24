// Diffusion: paths, times, the training loss, guidance and samplers. Networks come in as functions of (x, t).

export * from './convert.ts';
export * from './edit.ts';
export * from './flow-matching.ts';
export * from './guidance.ts';
export * from './oracles.ts';
export * from './path.ts';
export * from './samplers/index.ts';
export * from './samplers/sde.ts';
export type { Sampler, SamplerOptions, Step, Velocity } from './samplers/walk.ts';
export * from './time.ts';
