// Pictures for training and evaluation: sources (folders, the embedded set, memory), orders, batches.
export { type Batch, BatchReader, type Unreadable } from './batch.ts';
export { type ImageFolder, imageExtensions, scanImageFolder } from './image-folder.ts';
export {
  LatentCache,
  type LatentManifest,
  type LatentOrigin,
  readManifest,
  STATISTICS,
  statisticsDigest,
} from './latent-cache.ts';
export { type CachePlan, LatentCacheWriter } from './latent-cache-writer.ts';
export { type CachedBatch, type CachedSet, LatentLoader } from './latent-loader.ts';
export { inOrder, Loader, type LoaderOptions, type LoaderState } from './loader.ts';
export { isPictureSet, openPictureSet } from './picture-set.ts';
export { openSource, type PictureSourceOptions } from './picture-source.ts';
export { Draws, permutation, stream } from './random.ts';
export { type Filter, type Picture, resample, resampleSync, type Step } from './resample.ts';
export { Sampler, type SamplerOptions, type SamplerState } from './sampler.ts';
export { memorySource, mirrorInPlace, type PictureSource, spreadIndices, subset } from './source.ts';
export {
  type SyntheticOptions,
  type SyntheticPart,
  syntheticClasses,
  syntheticImage,
  syntheticLabel,
} from './synthetic.ts';
export { type SyntheticSourceOptions, syntheticSource } from './synthetic-source.ts';
export {
  admCrop,
  admSteps,
  centerCropStep,
  randomCrop,
  resizedShortSide,
  stage1ShortSide,
  type Transform,
} from './transforms.ts';
