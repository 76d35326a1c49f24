// What stage 1 is trained by.
export * from './adaptive-weight.ts';
export * from './diff-augment.ts';
export * from './gan.ts';
export * from './gram.ts';
export * from './lpips.ts';
export * from './lpips-layer.ts';
export * from './lpips-weights.ts';
export * from './reconstruction.ts';
