// What pictures, samples and latents are judged by.
export * from './effective-rank.ts';
export * from './feature-moments.ts';
export * from './frechet.ts';
export * from './inception-score.ts';
export * from './kid.ts';
export * from './knn.ts';
export * from './numpy-random.ts';
export * from './pca.ts';
export * from './precision-recall.ts';
export * from './probe.ts';
export * from './psnr.ts';
export * from './resampling.ts';
export * from './spectrum.ts';
export * from './ssim.ts';
export * from './statistics.ts';
