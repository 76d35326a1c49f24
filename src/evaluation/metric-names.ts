// The metrics by their names on the command line, and what each needs.

export const metricNames = [
  'fid',
  'sfid',
  'is',
  'precision',
  'recall',
  'density',
  'coverage',
  'kid',
  'rfid',
  'psnr',
  'ssim',
  'lpips',
  'probe',
  'knn',
  'rank',
] as const;

const balls = ['precision', 'recall', 'density', 'coverage'];

/** Metrics by what has to be there for them. */
export const needs: Readonly<Record<Need, readonly string[]>> = {
  /** A set that is compared as a whole. */
  samples: ['fid', 'sfid', 'is', 'kid', ...balls],
  /** Pictures beside their originals. */
  pairs: ['rfid', 'psnr', 'ssim', 'lpips'],
  /** Balls around nearest neighbours. */
  balls,
  /** A labelled set to learn from. */
  classes: ['probe', 'knn'],
  /** Features of the chosen layer. */
  features: ['fid', 'kid', 'probe', 'knn', 'rank', ...balls],
  /** Features of both sets side by side. */
  referenceFeatures: ['kid', ...balls],
  /** The reference's pictures: moments are not enough. */
  referencePictures: ['kid', 'probe', 'knn', 'rank', ...balls],
  /** A reference of any kind. */
  reference: ['fid', 'sfid', 'rfid', 'psnr', 'ssim', 'lpips', 'kid', 'probe', 'knn', 'rank', ...balls],
  /** An extractor. */
  extractor: ['fid', 'sfid', 'is', 'kid', 'rfid', 'probe', 'knn', 'rank', ...balls],
  /** Inception. */
  inception: ['sfid', 'is'],
};

type Need =
  | 'samples'
  | 'pairs'
  | 'balls'
  | 'classes'
  | 'features'
  | 'referenceFeatures'
  | 'reference'
  | 'referencePictures'
  | 'extractor'
  | 'inception';
