// What the tensors of a file are, told from their names and shapes, and what can be done with them.

import { dirname } from 'node:path';
import { detectLayout } from '../weights/encoder-state.ts';
import { parseEncoderSpec } from '../weights/index.ts';
import type { Listing, TensorEntry } from './inspect-file.ts';

export interface Recognised {
  what: string;
  /** A command that uses the file. */
  next?: string;
  /** A command that brings it to another layout. */
  convert?: string;
}

type Rule = (file: Listing, names: ReadonlyMap<string, TensorEntry>, path: string) => Recognised | undefined;

/** The first rule that knows the tensors; nested checkpoints are judged by their average, or their model. */
export function recognise(file: Listing, path: string): Recognised {
  const names = new Map(file.tensors.map((entry) => [entry.name, entry]));
  for (const rule of rules) {
    const found = rule(file, names, path);
    if (found) return found;
  }
  return { what: 'tensors of a kind unknown to rae' };
}

const rules: readonly Rule[] = [
  ({ metadata }, _names, path) => {
    const text = metadata['rae.encoder'];
    if (text === undefined) return undefined;
    const { vit, family } = parseEncoderSpec(text, path);
    const side = vit.grid.map((cells) => cells * vit.patch).join(' x ');
    return {
      what: `encoder (${family}): ${vit.width} wide, ${vit.depth} layers, patches of ${vit.patch}, trained at ${side}`,
      next: `rae train rae --encoder ${path} --data PICTURES --out RUN`,
    };
  },
  ({ metadata, format }, names, path) => {
    const latents = names.get('latents');
    if (!latents || (metadata['rae.latents'] === undefined && !(format === 'npz' && names.has('info'))))
      return undefined;
    return {
      what: `latents of ${latents.shape[0]} pictures`,
      next: `rae decode --model RUN --input ${path} --out pictures`,
    };
  },
  (_file, names, path) => {
    if (!names.has('var') || names.size > 2) return undefined;
    const mean = names.has('mean') ? '' : ' (no mean: latents are only scaled)';
    return {
      what: `statistics of latents${mean}`,
      next: `rae train dit --rae RUN --stats ${path} --data PICTURES --out RUN`,
      convert: toOther(path, 'stats'),
    };
  },
  (_file, names) => {
    const pictures = names.get('arr_0');
    if (pictures?.dtype !== 'u8' || pictures.shape.length !== 4) return undefined;
    return { what: `a batch of ${pictures.shape[0]} pictures of ${pictures.shape[2]} x ${pictures.shape[1]}` };
  },
  (_file, names) =>
    names.has('mu') && names.has('sigma') ? { what: 'moments of features for a Frechet distance' } : undefined,
  (_file, names) => (anyName(names, /^exp_avg\./) ? { what: 'state of an AdamW optimiser' } : undefined),
  (file, names, path) => {
    const parts = ['ema', 'model', 'state_dict'].filter((part) => anyName(names, new RegExp(`^${part}/`)));
    if (parts.length === 0) return undefined;
    const prefix = `${parts[0]}/`;
    const tensors = file.tensors.flatMap(({ name, ...rest }) =>
      name.startsWith(prefix) ? [{ ...rest, name: name.slice(prefix.length) }] : [],
    );
    const inner = recognise({ ...file, tensors, metadata: {} }, path);
    const choice =
      parts.includes('ema') && parts.includes('model') ? ' (--raw: the trained weights, not the average)' : '';
    return {
      ...inner,
      what: `training checkpoint (${topNames(names).join(', ')}) of: ${inner.what}`,
      ...(inner.convert !== undefined && { convert: inner.convert + choice }),
    };
  },
  (_file, names, path) => {
    if (!names.has('_latents_std') || !anyName(names, /\.attention\.to_q\.weight$/)) return undefined;
    const embed = ending(names, 'decoder_embed.weight');
    const model = dirname(path);
    return {
      what: `AutoencoderRAE of diffusers: encoder, decoder and statistics for latents of ${embed?.shape[1]} channels`,
      next: `rae reconstruct --model ${model} --input PICTURES --out recon.png`,
      convert: `rae convert ${model} MODEL --to safetensors (or reference)`,
    };
  },
  (_file, names, path) =>
    anyName(names, /(^|\.)decoder\.decoder_pred\.weight$/) && anyName(names, /(^|\.)encoder\./)
      ? {
          what: 'a whole RAE, encoder and decoder',
          next: `rae reconstruct --model CONFIG --weights ${path} --input PICTURES --out recon.png`,
          convert: `rae convert ${path} model.pt --to reference --part decoder`,
        }
      : undefined,
  (_file, names, path) => {
    const embed = ending(names, 'decoder_embed.weight');
    if (!embed || !ending(names, 'trainable_cls_token')) return undefined;
    return {
      what: `decoder of an RAE for latents of ${embed.shape[1]} channels`,
      next: `rae reconstruct --model CONFIG --weights ${path} --input PICTURES --out recon.png`,
      convert: toOther(path, 'decoder'),
    };
  },
  (_file, names, path) => {
    const embed = ending(names, 'x_embedder.proj.weight');
    if (!embed || !ending(names, 'final_layer.linear.weight')) return undefined;
    const labels = ending(names, 'y_embedder.embedding_table.weight')?.shape[0];
    const kind = ending(names, 's_embedder.proj.weight') ? 'DiT^DH' : 'LightningDiT';
    return {
      what: `generator (${kind}) for latents of ${embed.shape[1]} channels${labels === undefined ? '' : `, ${labels - 1} classes`}`,
      next: `rae sample --model CONFIG --weights ${path} --out samples.png`,
      convert: toOther(path, 'dit'),
    };
  },
  (_file, names, path) => {
    try {
      const { family } = detectLayout(names.keys());
      return { what: `encoder (${family})`, next: `rae train rae --encoder ${path} --data PICTURES --out RUN` };
    } catch {
      return undefined;
    }
  },
];

/** From safetensors to the reference's file of this part, from anything else to safetensors. */
function toOther(path: string, part: 'decoder' | 'dit' | 'stats'): string {
  if (!path.endsWith('.safetensors')) return `rae convert ${path} ${part}.safetensors --to safetensors --part ${part}`;
  const name = { decoder: 'model.pt', dit: 'stage2_model.pt', stats: 'stat.pt' }[part];
  return `rae convert ${path} ${name} --to reference --part ${part}`;
}

function anyName(names: ReadonlyMap<string, unknown>, pattern: RegExp): boolean {
  return [...names.keys()].some((name) => pattern.test(name));
}

/** The tensor of this name, whatever a wrapper put in front of it. */
function ending(names: ReadonlyMap<string, TensorEntry>, name: string): TensorEntry | undefined {
  const key = [...names.keys()].find((key) => key === name || key.endsWith(`.${name}`));
  return key === undefined ? undefined : names.get(key);
}

function topNames(names: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...names.keys()].map((name) => name.split('/')[0]!))];
}
