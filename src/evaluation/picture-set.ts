// What an evaluation reads: a numbered set of pictures of one size, given by a plain description, so that a worker process opens the same
// set. Pictures come by ranges of their index; those that cannot be read are named and left out, and the others keep their index.

import type { Precision } from '../inference/batches.ts';
import type { SamplerChoice } from '../inference/generate.ts';
import type { GuidanceChoice } from '../inference/guidance-choice.ts';
import type { LabelChoice } from '../inference/labels.ts';

/** A set as plain data. Paths are as the user gave them. */
export type SetSpec = FilesSpec | ArchiveSpec | SampledSpec | ReconstructedSpec | PairsSpec;

/** Pictures of a folder, tar, zip, parquet or list, or `embedded`, brought to squares of `side` by ADM's centre crop. */
export interface FilesSpec {
  kind: 'files';
  path: string;
  side: number;
  exif: boolean;
  /** At most so many, spread evenly. */
  num?: number | undefined;
}

export type StoredSpec = FilesSpec | ArchiveSpec;

/** `arr_0` of an npz, uint8 [N, H, W, 3]. */
export interface ArchiveSpec {
  kind: 'npz';
  path: string;
}

/** Samples 0 to `num` - 1 of a model, made when they are read. */
export interface SampledSpec {
  kind: 'samples';
  model: string;
  weights?: string | undefined;
  raw?: boolean | undefined;
  num: number;
  seed: number;
  labels: LabelChoice;
  sampler: SamplerChoice & { reuseEncoder?: number };
  guidance: GuidanceChoice;
  guide?: string | undefined;
  precision: Precision;
}

/** The pictures of another set through a model's encoder and decoder. */
export interface ReconstructedSpec {
  kind: 'reconstructions';
  model: string;
  weights?: string | undefined;
  raw?: boolean | undefined;
  precision: Precision;
  of: StoredSpec;
}

/** Pictures and what each is compared with: two sets of one size, by index. */
export interface PairsSpec {
  kind: 'pairs';
  pictures: StoredSpec;
  originals: StoredSpec;
}

export interface PictureRange {
  /** Numbers in the set, ascending; unreadable ones are missing. */
  indices: readonly number[];
  /** Bytes [n, H, W, 3] of the pictures `indices`. */
  images: Uint8Array;
  /** What each is to be compared with, where the set has that. */
  originals?: Uint8Array;
  /** Class of each, where the set has classes. */
  labels?: readonly number[];
  unreadable: readonly Unreadable[];
  /** How many were cropped or resized. */
  resized: number;
}

export interface Unreadable {
  index: number;
  message: string;
}

export interface PictureSet {
  readonly spec: SetSpec;
  /** Where the pictures come from, for people. */
  readonly name: string;
  readonly size: number;
  readonly height: number;
  readonly width: number;
  /** Class names by label, where they are known. */
  readonly classes?: readonly string[] | undefined;
  /** Changes when the files behind the set do: what partial results are kept under. */
  readonly identity: string;
  /** What else a result has to say of the set. */
  readonly details: Readonly<Record<string, unknown>>;
  read(start: number, count: number): Promise<PictureRange>;
  /** Names one picture. */
  describe(index: number): string;
  close(): void;
}
