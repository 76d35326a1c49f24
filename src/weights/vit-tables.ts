// How Hugging Face's encoders name the parameters of our ViT (spec 2.1 to 2.3). timm's names are our own.
// A wrapper's prefix (`vit.`, `vision_model.`, `encoder.encoder.` of a training checkpoint) is found by the patch embedding's key.

import type { KeyTable } from './key-table.ts';

const attention = ['query', 'key', 'value'].map((name) => `encoder.layer.*.attention.attention.${name}`);

export const dinov2Table: KeyTable = {
  name: 'DINOv2 (Hugging Face)',
  stems: {
    cls_token: 'embeddings.cls_token',
    reg_token: 'embeddings.register_tokens',
    pos_embed: 'embeddings.position_embeddings',
    'patch_embed.proj': 'embeddings.patch_embeddings.projection',
    'blocks.*.norm1': 'encoder.layer.*.norm1',
    'blocks.*.attn.qkv': attention,
    'blocks.*.attn.proj': 'encoder.layer.*.attention.output.dense',
    'blocks.*.ls1.gamma': 'encoder.layer.*.layer_scale1.lambda1',
    'blocks.*.norm2': 'encoder.layer.*.norm2',
    'blocks.*.mlp.fc1': 'encoder.layer.*.mlp.fc1',
    'blocks.*.mlp.fc2': 'encoder.layer.*.mlp.fc2',
    'blocks.*.mlp.w12': 'encoder.layer.*.mlp.weights_in',
    'blocks.*.mlp.w3': 'encoder.layer.*.mlp.weights_out',
    'blocks.*.ls2.gamma': 'encoder.layer.*.layer_scale2.lambda1',
    norm: 'layernorm',
  },
  ignored: [/^embeddings\.mask_token$/],
};

const dinov3Stems = {
  cls_token: 'embeddings.cls_token',
  reg_token: 'embeddings.register_tokens',
  'patch_embed.proj': 'embeddings.patch_embeddings',
  'blocks.*.norm1': 'layer.*.norm1',
  'blocks.*.attn.qkv': ['q_proj', 'k_proj', 'v_proj'].map((name) => `layer.*.attention.${name}`),
  'blocks.*.attn.proj': 'layer.*.attention.o_proj',
  'blocks.*.ls1.gamma': 'layer.*.layer_scale1.lambda1',
  'blocks.*.norm2': 'layer.*.norm2',
  'blocks.*.ls2.gamma': 'layer.*.layer_scale2.lambda1',
  norm: 'norm',
};

/** Keys have no bias there. `up_proj` is the first layer of the plain feed-forward, but the second half of the gated one's. */
export const dinov3Table: KeyTable = {
  name: 'DINOv3 (Hugging Face)',
  stems: { ...dinov3Stems, 'blocks.*.mlp.fc1': 'layer.*.mlp.up_proj', 'blocks.*.mlp.fc2': 'layer.*.mlp.down_proj' },
  ignored: [/^embeddings\.mask_token$/],
  zero: [/\.k_proj\.bias$/],
};

export const dinov3GatedTable: KeyTable = {
  ...dinov3Table,
  name: 'DINOv3 with SwiGLU (Hugging Face)',
  stems: {
    ...dinov3Stems,
    'blocks.*.mlp.w12': ['gate_proj', 'up_proj'].map((name) => `layer.*.mlp.${name}`),
    'blocks.*.mlp.w3': 'layer.*.mlp.down_proj',
  },
};

export const maeTable: KeyTable = {
  name: 'ViT and ViT-MAE (Hugging Face)',
  stems: {
    cls_token: 'embeddings.cls_token',
    pos_embed: 'embeddings.position_embeddings',
    'patch_embed.proj': 'embeddings.patch_embeddings.projection',
    'blocks.*.norm1': 'encoder.layer.*.layernorm_before',
    'blocks.*.attn.qkv': attention,
    'blocks.*.attn.proj': 'encoder.layer.*.attention.output.dense',
    'blocks.*.norm2': 'encoder.layer.*.layernorm_after',
    'blocks.*.mlp.fc1': 'encoder.layer.*.intermediate.dense',
    'blocks.*.mlp.fc2': 'encoder.layer.*.output.dense',
    norm: 'layernorm',
  },
  ignored: [/^pooler\./], // plain ViTs
};

export const siglipTable: KeyTable = {
  name: 'SigLIP vision tower (Hugging Face)',
  stems: {
    pos_embed: 'embeddings.position_embedding.weight', // [N, D] there, [1, N, D] here
    'patch_embed.proj': 'embeddings.patch_embedding',
    'blocks.*.norm1': 'encoder.layers.*.layer_norm1',
    'blocks.*.attn.qkv': ['q_proj', 'k_proj', 'v_proj'].map((name) => `encoder.layers.*.self_attn.${name}`),
    'blocks.*.attn.proj': 'encoder.layers.*.self_attn.out_proj',
    'blocks.*.norm2': 'encoder.layers.*.layer_norm2',
    'blocks.*.mlp.fc1': 'encoder.layers.*.mlp.fc1',
    'blocks.*.mlp.fc2': 'encoder.layers.*.mlp.fc2',
    norm: 'post_layernorm',
  },
  ignored: [/^head\./],
};
