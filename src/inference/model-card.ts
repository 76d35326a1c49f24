// The card of a published model (README.md with the hub's metadata in front): what it is, how to use it, its figures and its
// configuration. Only what the run itself says; claims about data and use are the publisher's to add.

import { formatConfig } from '../config/index.ts';
import { count, figure } from '../util/format.ts';
import type { Publication } from './publish.ts';

const WHAT = {
  encoder: 'A vision encoder, pretrained as a masked autoencoder',
  rae: 'A Representation Autoencoder: a frozen encoder and the decoder that turns its latents back into pictures',
  dit: 'A diffusion transformer on the latents of a Representation Autoencoder, with that autoencoder',
};

const TASK = { encoder: 'image-feature-extraction', rae: 'image-to-image', dit: 'unconditional-image-generation' };

/** The text of the card. `licence` is an identifier of the hub's list. */
export function modelCard(
  { stage, parts, config, raeConfig, parameters, metrics, picture, files }: Publication,
  repo: string,
  licence: string,
): string {
  const { classes, step } = parts;
  const { encoder_cls, encoder_input_size } = raeConfig.stage_1.params;
  const side = config.data.image_size;
  const facts = [
    ...Object.entries(parameters).map(([part, n]) => [part, `${count(n)} parameters`]),
    ...(stage === 'encoder' ? [] : [['encoder class', `${encoder_cls} at ${encoder_input_size} px`]]),
    ['pictures', `${side} x ${side}`],
    ...(config.misc.latent_size ? [['latents', `[${config.misc.latent_size.join(', ')}]`]] : []),
    ...(step === undefined
      ? []
      : [['trained for', `${count(step)} steps of ${config.training.global_batch_size} pictures`]]),
    ...(classes
      ? [['classes', `${classes.length}: ${classes.slice(0, 20).join(', ')}${classes.length > 20 ? ', ...' : ''}`]]
      : []),
  ] as [string, string][];
  const figures = Object.entries(metrics).map(([name, { step, value }]) => [name, figure(value, 4), count(step)]);
  const sections = [
    `# ${repo.split('/')[1]}`,
    `${WHAT[stage]}, made with rae-ts ("Diffusion Transformers with Representation Autoencoders", arXiv 2510.11690).`,
    picture ? `![${stage === 'dit' ? 'Samples' : 'Pictures and their reconstructions'}](${picture})` : '',
    grid(['', ''], facts),
    `## How to use it\n\n${fence('sh', usage(stage, repo))}`,
    figures.length > 0 ? `## Figures\n\n${grid(['figure', 'value', 'at step'], figures)}` : '',
    `## Files\n\n${files.map(({ name }) => `- \`${name}\``).join('\n')}`,
    stage === 'encoder'
      ? ''
      : "`encoder.safetensors` is the frozen encoder: where it was not trained here, its authors' licence holds for it.",
    `## Configuration\n\n${fence('yaml', formatConfig(config).trimEnd())}`,
  ];
  return `${metadata(stage, licence)}\n${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function metadata(stage: Publication['stage'], licence: string): string {
  const tags = ['representation-autoencoder', ...(stage === 'dit' ? ['diffusion', 'flow-matching'] : [])];
  const lines = [`license: ${licence}`, 'library_name: rae-ts', `pipeline_tag: ${TASK[stage]}`, 'tags:'];
  return ['---', ...lines, ...tags.map((tag) => `  - ${tag}`), '---', ''].join('\n');
}

function usage(stage: Publication['stage'], repo: string): string {
  const model = `hf://${repo}`;
  const next = {
    encoder: `rae train rae --encoder ${model} --data photos --out runs/rae`,
    rae: `rae reconstruct --model ${model} --input photos --num 16 --out reconstructions.png`,
    dit: `rae sample --model ${model} --out samples.png`,
  };
  return `rae weights get ${repo}\n${next[stage]}`;
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
