// What is probably wrong with an evaluation, said in one sentence each: pictures that cannot be meant, sets too small for the metric,
// a set that is its own reference.

import { count } from '../util/format.ts';
import type { PassResult } from './pass-result.ts';

/** About the pictures of one set. `role`: samples, reference. */
export function pictureWarnings(role: string, pass: PassResult): string[] {
  const { set, unreadable, constant, dark, resized } = pass;
  const some = (indices: readonly number[]) =>
    `${indices
      .slice(0, 3)
      .map((index) => set.describe(index))
      .join(', ')}${indices.length > 3 ? ', ...' : ''}`;
  const warnings: string[] = [];
  if (unreadable.length > 0) {
    const shown = unreadable.slice(0, 5).map(({ message }) => message);
    const rest = unreadable.length > 5 ? ` And ${unreadable.length - 5} more.` : '';
    warnings.push(
      `${role}: ${count(unreadable.length)} pictures cannot be read and are left out. ${shown.join(' ')}${rest}`,
    );
  }
  if (constant.length > 0)
    warnings.push(`${role}: ${count(constant.length)} pictures are one single colour: ${some(constant)}.`);
  if (dark.length > constant.length || (dark.length > 0 && dark.length === pass.count)) {
    warnings.push(
      `${role}: ${count(dark.length)} pictures hold nothing but 0 and 1, as if [0, 1] had not been scaled to bytes: ${some(dark)}.`,
    );
  }
  if (resized > 0 && role === 'samples') {
    warnings.push(
      `${role}: ${count(resized)} of ${count(pass.count)} pictures are not ${set.width} x ${set.height} and were cropped and resized.`,
    );
  }
  return warnings;
}

/** About two sets together. */
export function pairWarnings(samples: PassResult, reference: PassResult): string[] {
  const warnings: string[] = [];
  if (samples.digest === reference.digest) {
    warnings.push('the samples are their reference: every pixel is equal. A distance of 0 says nothing here.');
  }
  const [a, b] = [samples.set, reference.set];
  if (a.width !== b.width || a.height !== b.height) {
    warnings.push(
      `the samples are ${a.width} x ${a.height}, the reference is ${b.width} x ${b.height}: resizing alone makes a distance.`,
    );
  }
  return warnings;
}

/** About the number of pictures a Frechet distance is computed from. */
export function rankWarnings(name: string, role: string, n: number, width: number): string[] {
  if (n > width) return [];
  return [
    `${name}: ${count(n)} pictures of the ${role} for ${count(width)} features: their covariance is singular, and the distance far from that of more pictures.`,
  ];
}
