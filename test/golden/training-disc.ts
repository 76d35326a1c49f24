// Golden checks of area `training` that concern the discriminator: its convolution, its norm, and the whole of it with its frozen trunk.

import { hingeLoss } from '../../src/losses/gan.ts';
import { dinoOptions, dinoRecipes, dinoTrunkFromState } from '../../src/models/dino-trunk.ts';
import { BatchNormLocal, Discriminator } from '../../src/models/discriminator.ts';
import { SpectralConv } from '../../src/models/layers/head-conv.ts';
import { ViT } from '../../src/models/vit.ts';
import { skipInit } from '../../src/nn/index.ts';
import { backward, grad, type Tensor, tidy } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Kinds, type Limits } from './harness.ts';
import { hashTensor } from './hash.ts';

interface Recipe {
  depth: number;
  patch_size: number;
  embed_dim: number;
  num_heads: number;
  norm_eps: number;
}

export interface DiscConfig {
  recipe: keyof typeof dinoRecipes | Recipe;
  ks: number;
  key_depths: number[];
  norm_type: 'bn' | 'gn';
  using_spec_norm: boolean;
  norm_eps: number;
  hash_prefix: string;
}

export const discKinds: Kinds = { 'spectral-conv1d': spectralConv, 'batchnorm-local': batchNorm, disc: discriminator };

function spectralConv(entry: Entry, fixture: Fixture): void {
  type Case = { case: number; in_channels: number; out_channels: number; kernel_size: number };
  for (const c of entry.config.cases as Case[]) {
    tidy(() => {
      const conv = new SpectralConv({ inputs: c.in_channels, outputs: c.out_channels, kernel: c.kernel_size });
      conv.loadStateDict(fixture.group(`weights/${c.case}`));
      const x = fixture.get(`inputs/${c.case}/x`).clone().setRequiresGrad();
      const at = (name: string) => `outputs/${c.case}/${name}`;
      const vectors = (after: string) => {
        for (const name of ['weight_u', 'weight_v'] as const) fixture.expectClose(at(`${after}/${name}`), conv[name]);
      };
      fixture.expectClose(at('eval'), conv.eval().forward(x));
      fixture.expectClose(at('train1'), conv.train().forward(x));
      const y = conv.forward(x);
      fixture.expectClose(at('train2'), y);
      vectors('after1'); // stored with the buffers of after2: the same numbers
      vectors('after2');
      backward(y, { gradient: fixture.get(`inputs/${c.case}/grad_out`) });
      const gradients = { x, weight_orig: conv.weight_orig, bias: conv.bias };
      for (const [name, t] of Object.entries(gradients)) fixture.expectClose(`grads/${c.case}/${name}`, t.grad!);
      fixture.expectClose(at('eval_after'), conv.eval().forward(x));
      conv.dispose();
    });
  }
}

function batchNorm(entry: Entry, fixture: Fixture): void {
  for (const { case: c, shape } of entry.config.cases as { case: number; shape: number[] }[]) {
    tidy(() => {
      const norm = new BatchNormLocal(shape[1]!);
      norm.loadStateDict(fixture.group(`weights/${c}`));
      const x = fixture.get(`inputs/${c}/x`).clone().setRequiresGrad();
      const y = norm.forward(x);
      fixture.expectClose(`outputs/${c}/y`, y);
      backward(y, { gradient: fixture.get(`inputs/${c}/grad_out`) });
      for (const [name, t] of Object.entries({ x, weight: norm.weight, bias: norm.bias }))
        fixture.expectClose(`grads/${c}/${name}`, t.grad!);
      norm.dispose();
    });
  }
}

function discriminator(entry: Entry, fixture: Fixture): void {
  const config = entry.config as unknown as DiscConfig & { sizes: number[] };
  const { trunk, disc } = makeDiscriminator(config, fixture.group('weights'));
  const limits = entry.tolerance as Limits;
  for (const size of config.sizes) {
    tidy(() => {
      const image = picture(fixture, `${size}/image`).setRequiresGrad();
      const logits = disc.eval().forward(image);
      fixture.expectClose(`outputs/${size}/logits`, logits);
      const [g] = grad([logits.mean().neg()], [image]) as [Tensor];
      expectClose(g.square().sum().sqrt(), fixture.get(`outputs/${size}/grad_norm`), limits, `${size} gradient norm`);
      const slice = `grads/${size}/image-slice`; // of the middle
      const [stored, part] = fixture.has(slice)
        ? [fixture.get(slice), middle(g, fixture.get(slice))]
        : [fixture.get(`grads/${size}/image`), g];
      expectClose(part, stored, { ...limits, relative_l2: 1e-2 }, `${size} gradient`); // its values lie below atol
    });
  }
  trainOnce(config.sizes[0]!, disc, fixture, limits);
  disc.dispose();
  trunk.dispose();
}

/** One discriminator step without its update: fake, then real, hinge, gradients, the spectral vectors after it. */
function trainOnce(size: number, disc: Discriminator, fixture: Fixture, limits: Limits): void {
  tidy(() => {
    disc.train();
    const fake = disc.forward(picture(fixture, `${size}/fake`));
    const real = disc.forward(picture(fixture, `${size}/image`));
    fixture.expectClose('outputs/train/logits_fake', fake);
    fixture.expectClose('outputs/train/logits_real', real);
    const loss = hingeLoss(real, fake);
    fixture.expectClose('outputs/train/hinge', loss);
    backward(loss);
    const params = new Map(disc.namedParameters());
    for (const [key, stored] of fixture.group('grads/train'))
      expectClose(params.get(key)!.grad!, stored, limits, `gradient of ${key}`);
    for (const [key, norm] of fixture.group('outputs/train/grad_norm'))
      expectClose(params.get(key)!.grad!.square().sum().sqrt(), norm, limits, `gradient norm of ${key}`);
    const state = disc.stateDict();
    for (const [key, stored] of fixture.group('outputs/train/after')) expectClose(state.get(key)!, stored, limits, key);
    fixture.expectClose('outputs/train/eval_after', disc.eval().forward(picture(fixture, `${size}/image`)));
  });
}

/** The middle of x that is as large as `like`. */
function middle(x: Tensor, like: Tensor): Tensor {
  const [, , h, w] = like.dims(4);
  return x.narrow(2, (x.size(2) - h) / 2, h).narrow(3, (x.size(3) - w) / 2, w);
}

function picture(fixture: Fixture, name: string): Tensor {
  return fixture.get(`inputs/${name}`).to('f32').div(127.5).sub(1);
}

/** The discriminator of an entry. Weights that are not among `stored` (heads, and the trunk under dino/) are made by hash. */
export function makeDiscriminator(config: DiscConfig, stored: ReadonlyMap<string, Tensor>) {
  const sizes =
    typeof config.recipe === 'string'
      ? dinoRecipes[config.recipe]
      : {
          width: config.recipe.embed_dim,
          depth: config.recipe.depth,
          heads: config.recipe.num_heads,
          patch: config.recipe.patch_size,
        };
  return tidy(() => {
    const blank = skipInit(() => new ViT(dinoOptions(sizes)));
    const weights = new Map(
      [...blank.stateDict()].map(([key, { shape }]) => [
        key,
        stored.get(`dino/${key}`) ?? hashed(config.hash_prefix, key, shape),
      ]),
    );
    const trunk = dinoTrunkFromState(weights, { heads: sizes.heads });
    blank.dispose();
    const disc = skipInit(
      () =>
        new Discriminator({
          trunk,
          keyDepths: config.key_depths,
          kernel: config.ks,
          norm: config.norm_type,
          spectral: config.using_spec_norm,
          eps: config.norm_eps,
        }),
    );
    disc.loadStateDict(
      new Map(
        [...disc.stateDict()].map(([key, { shape }]) => [
          key,
          stored.get(key) ?? hashed(config.hash_prefix, key, shape),
        ]),
      ),
    );
    return { trunk, disc };
  });
}

/** The entries' hash rules. */
function hashed(prefix: string, key: string, shape: readonly number[]): Tensor {
  const name = prefix + key;
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  if (/^(cls_token|pos_embed)$/.test(key)) return hashTensor(name, [...shape], { scale: 0.5 });
  if (key.endsWith('bias')) return hashTensor(name, [...shape], { scale: 0.1 });
  if (shape.length === 1) return hashTensor(name, [...shape], { center: 1, scale: 0.1 }); // norms
  return hashTensor(name, [...shape], { scale: Math.sqrt(3 / fanIn) });
}
