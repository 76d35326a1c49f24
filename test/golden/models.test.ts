// Golden values of the models: encoders, the real DeiT-Tiny, the decoder with its gradients, the RAE, and the
// names and shapes of the published checkpoints.

import { expect } from 'vitest';
import { loadSafetensors } from '../../src/io/safetensors.ts';
import { Decoder } from '../../src/models/decoder.ts';
import { dinoOptions, dinoRecipes } from '../../src/models/dino-trunk.ts';
import { Discriminator } from '../../src/models/discriminator.ts';
import {
  deitTiny,
  dinov2,
  type EncoderSpec,
  IMAGENET_MEAN,
  IMAGENET_STD,
  mae,
  siglip2,
} from '../../src/models/encoders/index.ts';
import { type Grid, resizeTable, type TableResize } from '../../src/models/layers/position-table.ts';
import { Rae } from '../../src/models/rae.ts';
import { ViT, type ViTOptions } from '../../src/models/vit.ts';
import { type Module, skipInit } from '../../src/nn/index.ts';
import { backward, linear, noGrad, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { encoderFromState } from '../../src/weights/encoder-state.ts';
import { type KeyTable, theirKeys } from '../../src/weights/key-table.ts';
import { loadEncoder } from '../../src/weights/load-encoder.ts';
import { decoderOptions, loadRaeState } from '../../src/weights/reference.ts';
import { dinov2Table, maeTable, siglipTable } from '../../src/weights/vit-tables.ts';
import { type Entry, expectClose, type Fixture, limitsFor, requireData, runArea } from './harness.ts';
import { fileKinds } from './models-files.ts';
import { isStage2StateDict, stage2Kinds, stage2StateDict } from './models-stage2.ts';
import type { DiscConfig } from './training-disc.ts';

interface Call {
  output: string;
  call?: string;
  args: Record<string, string>;
  image?: string;
  normalize?: boolean;
  layers?: number[];
  add_mean?: boolean;
  debug?: string | boolean;
}

type Numbers = Record<string, number>;

const calls = (entry: Entry) => entry.config.calls as Call[];

/** A call's argument: an earlier output, or an input. */
const input = (fixture: Fixture, name: string) => fixture.get(name.startsWith('outputs/') ? name : `inputs/${name}`);

function heads(entry: Entry): number {
  return (entry.config.hf_config as Numbers).num_attention_heads!;
}

// ── encoders ──────────────────────────────────────────

function encoder(entry: Entry, fixture: Fixture): void {
  const how = ({ normalize = true, layers, add_mean: addMean }: Call) => ({ normalize, layers, addMean });
  const ropeBase = (entry.config.hf_config as Numbers).rope_theta;
  for (const hints of new Set(calls(entry).map((call) => JSON.stringify(how(call))))) {
    const model = encoderFromState(fixture.group('weights/'), { heads: heads(entry), ropeBase, ...JSON.parse(hints) });
    for (const call of calls(entry).filter((c) => JSON.stringify(how(c)) === hints)) {
      noGrad(() => {
        const pixels = input(fixture, call.args.pixel_values!);
        const tokens = model.forward(pixels, {
          onBlock: (index, x) => {
            const name = `debug/${call.debug}/${index < 0 ? 'embeddings' : `layer.${index}`}`;
            if (call.debug && fixture.has(name))
              expectClose(x, fixture.get(name), limitsFor(entry.tolerance, 'outputs'), name);
          },
        });
        fixture.expectClose(call.output, tokens);
      });
    }
    model.dispose();
  }
}

function tableResize(entry: Entry, fixture: Fixture): void {
  const { from, to, resize } = entry.config as { from: Grid; to: Grid[]; resize: TableResize };
  for (const grid of to) {
    tidy(() =>
      fixture.expectClose(`outputs/${grid.join('x')}`, resizeTable(fixture.get('inputs/table'), from, grid, resize)),
    );
  }
}

function deit(_entry: Entry, fixture: Fixture): void {
  const path = requireData('weights/deit_tiny_patch16_224.safetensors');
  const [plain, affine] = [loadEncoder(path), loadEncoder(path, { normalize: false })];
  expect(plain.spec).toEqual(deitTiny());
  const head = loadSafetensors(path);
  tidy(() =>
    noGrad(() => {
      const bytes = fixture.get('inputs/images'); // [4, 224, 224, 3]
      const [mean, std] = [tensor(IMAGENET_MEAN, { dtype: 'f32' }), tensor(IMAGENET_STD, { dtype: 'f32' })];
      const pixels = bytes.to('f32').div(255).sub(mean).div(std).permute([0, 3, 1, 2]);
      const [bare, full] = [plain.vit.forward(pixels), affine.vit.forward(pixels)]; // [4, 197, 192]
      fixture.expectClose('outputs/patch_tokens_no_affine', bare.slice(1, 1).slice(0, 0, 2));
      fixture.expectClose('outputs/patch_tokens_affine', full.slice(1, 1).slice(0, 0, 1));
      fixture.expectClose('outputs/cls_token_no_affine', bare.select(1, 0));
      fixture.expectClose('outputs/cls_token_affine', full.select(1, 0));
      const logits = linear(full.select(1, 0), head.get('head.weight')!, head.get('head.bias')!); // [4, 1000]
      fixture.expectClose('outputs/logits', logits);
      const [values, indices] = logits.topk(5, -1) as [Tensor, Tensor];
      fixture.expectClose('outputs/top5_logits', values);
      expect(indices.toNumbers()).toEqual(fixture.get('outputs/top5_indices').toNumbers());
    }),
  );
  for (const t of head.values()) t.dispose();
  plain.dispose();
  affine.dispose();
}

// ── decoder ───────────────────────────────────────────

function decoder(entry: Entry, fixture: Fixture): void {
  const config = entry.config.config as Numbers;
  const model = skipInit(
    () =>
      new Decoder(
        decoderOptions(config, {
          channels: config.hidden_size!,
          patch: config.patch_size!,
          tokens: entry.config.num_patches as number,
        }),
      ),
  );
  model.loadStateDict(fixture.group('weights/'));
  for (const call of calls(entry)) {
    const tokens = input(fixture, call.args.tokens!);
    if (call.call === 'mean_square_gradients') {
      const given = tokens.clone().setRequiresGrad(true);
      const loss = model.unpatchify(model.forward(given)).square().mean();
      fixture.expectClose(call.output, loss);
      backward(loss);
      expect([...fixture.group('grads/').keys()].filter((key) => !key.startsWith('inputs/')).sort()).toEqual(
        model
          .namedParameters()
          .map(([name]) => name)
          .sort(),
      );
      for (const [name, parameter] of model.namedParameters()) fixture.expectClose(`grads/${name}`, parameter.grad!);
      fixture.expectClose('grads/inputs/tokens', given.grad!);
    } else {
      noGrad(() => {
        const patches = model.forward(tokens);
        fixture.expectClose(call.output, patches);
        if (call.image) fixture.expectClose(call.image, model.unpatchify(patches));
      });
    }
  }
  model.dispose();
}

// ── rae ───────────────────────────────────────────────

function rae(entry: Entry, fixture: Fixture): void {
  const weights = fixture.group('weights/');
  const { encoder_input_size, decoder_patch_size, noise_tau, eps, reshape_to_2d } = entry.config.rae as Numbers;
  const frozen = encoderFromState(new Map([...weights].filter(([key]) => key.startsWith('encoder.'))), {
    heads: heads(entry),
    mean: entry.config.image_mean as number[],
    std: entry.config.image_std as number[],
  });
  const tokens = (encoder_input_size! / frozen.patch) ** 2;
  const model = new Rae({
    encoder: frozen,
    decoder: new Decoder(
      decoderOptions(entry.config.decoder_config as Numbers, {
        channels: frozen.width,
        patch: decoder_patch_size!,
        tokens,
      }),
    ),
    encoderInputSize: encoder_input_size!,
    noiseTau: noise_tau!,
    eps: eps!,
    reshapeTo2d: Boolean(reshape_to_2d),
  });
  loadRaeState(model, weights);
  const optional = (name: string) => (fixture.has(name) ? fixture.get(name) : undefined);
  model.setStatistics({ mean: optional('inputs/stat_mean'), variance: optional('inputs/stat_var') });
  noGrad(() => {
    for (const call of calls(entry)) {
      const argument = input(fixture, call.args.image ?? call.args.latent!);
      model.train(call.call === 'encode_train');
      if (call.call === 'resize') fixture.expectClose(call.output, model.resize(argument));
      else if (call.call === 'decode') fixture.expectClose(call.output, model.decode(argument));
      else if (call.call === 'encode') fixture.expectClose(call.output, model.encode(argument));
      else {
        const sigma = input(fixture, call.args.sigma_uniform!).mul(noise_tau!);
        fixture.expectClose(call.output, model.encode(argument, { sigma, noise: input(fixture, call.args.noise!) }));
      }
    }
  });
  model.dispose();
}

// ── state dicts ───────────────────────────────────────

interface Listed {
  keys: [name: string, shape: number[]][];
  parameters: number;
  entries: number;
}

function stateDict(entry: Entry, fixture: Fixture): void {
  const config = entry.config as Numbers;
  if (isStage2StateDict(entry)) {
    stage2StateDict(entry, fixture);
  } else if ('decoder_hidden_size' in config) {
    const sizes = { channels: config.hidden_size!, patch: config.patch_size!, tokens: config.num_patches! };
    expectNames(fixture.json(), () => new Decoder(decoderOptions(config, sizes)));
  } else if ('key_depths' in config) {
    expectNames(fixture.json(), () => new ViT(dinoTrunk(config)));
  } else if ('num_hidden_layers' in config) {
    const [spec, table] = published(entry);
    expectNames(fixture.json(), () => new ViT(spec.vit), table);
  } else {
    const { ks, norm_type, using_spec_norm, recipe } = entry.config as unknown as DiscConfig;
    const trunk = skipInit(() => new ViT(dinoOptions(dinoRecipes[recipe as keyof typeof dinoRecipes])));
    expectNames(
      fixture.json(),
      () => new Discriminator({ trunk, kernel: ks, norm: norm_type, spectral: using_spec_norm }),
    );
    trunk.dispose();
  }
}

function dinoTrunk(config: Numbers): ViTOptions {
  const { embed_dim: width = 0, depth = 0, num_heads: heads = 0, patch_size: patch = 0, mlp_ratio = 4 } = config;
  return { width, depth, heads, hidden: width * mlp_ratio, patch, grid: [224 / patch, 224 / patch] };
}

/** The specification of a Hugging Face encoder, from its configuration alone. */
function published(entry: Entry): [EncoderSpec, KeyTable] {
  const c = entry.config as Numbers;
  const sizes = {
    width: c.hidden_size!,
    depth: c.num_hidden_layers!,
    heads: c.num_attention_heads!,
    patch: c.patch_size!,
    imageSize: c.image_size!,
    normalize: false,
  };
  if ('mlp_ratio' in c) {
    const swiglu = Boolean(c.use_swiglu_ffn);
    return [dinov2({ ...sizes, registers: c.num_register_tokens ?? 0, swiglu }), dinov2Table];
  }
  const hidden = c.intermediate_size!;
  return /siglip/i.test(entry.what)
    ? [siglip2({ ...sizes, hidden }), siglipTable]
    : [mae({ ...sizes, hidden }), maeTable];
}

/** Strict names and shapes; in the order of the state dict where the names are our own. */
function expectNames(listed: Listed, build: () => Module, table?: KeyTable): void {
  const model = skipInit(build);
  const ours = [...model.stateDict()].map(([name, t]): [string, number[]] => [name, [...t.shape]]);
  const parameters = model.numParameters();
  model.dispose();
  if (!table) {
    expect(ours).toEqual(listed.keys);
    expect(parameters).toBe(listed.parameters);
    return;
  }
  const theirs = new Map<string, number[]>();
  for (const [name, [first = 0, ...rest]] of ours) {
    const names = theirKeys(table, name);
    expect(names.length, `${name} has a name in ${table.name}`).toBeGreaterThan(0);
    for (const key of names) theirs.set(key, [first / names.length, ...rest]);
  }
  const prefix = listed.keys[0]![0].split('embeddings')[0]!.length;
  const received = listed.keys
    .map(([key, shape]): [string, number[]] => [key.slice(prefix), shape])
    .filter(([key]) => !table.ignored.some((pattern) => pattern.test(key)))
    // SigLIP's position table has no batch axis there.
    .map(([key, shape]): [string, number[]] => [
      key,
      key.endsWith('position_embedding.weight') ? [1, ...shape] : shape,
    ]);
  expect(theirs).toEqual(new Map(received));
}

runArea('models', {
  ...stage2Kinds,
  ...fileKinds,
  encoder,
  'table-resize': tableResize,
  deit,
  decoder,
  rae,
  'state-dict': stateDict,
});
