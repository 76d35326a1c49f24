// Small schema pieces shared by the sections: integers, probabilities, optional values that may also be written as null.

import { z } from 'zod';

export const integer = z.int();
export const count = z.int().min(1);
export const natural = z.int().min(0);
export const positive = z.number().positive();
export const fraction = z.number().min(0).max(1);
export const path = z.string().min(1);
export const rgb = z.tuple([z.number(), z.number(), z.number()]);

/** OmegaConf files write `ckpt: null` for an absent value: null and a missing key mean the same. */
export function maybe<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined);
}
