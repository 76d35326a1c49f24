// Encoders and decoder of stage 1 in inference, of published sizes and of one that runs in a moment.
import type { Beside, Work } from './works.ts';

const encoders = {
  'encode-deit': {
    title: 'DeiT-Tiny: 16 pictures of 224 px',
    batch: 16,
    encoder: { width: 192, depth: 12, heads: 3, patch: 16, size: 224, registers: 0, layerScale: false },
  },
  'encode-dinov2': {
    title: 'DINOv2-B with registers: 4 pictures of 224 px',
    batch: 4,
    encoder: { width: 768, depth: 12, heads: 12, patch: 14, size: 224, registers: 4, layerScale: true },
  },
} as const;

/** For tests. */
export const tinyVision = {
  encoder: { width: 32, depth: 1, heads: 2, patch: 8, size: 16, registers: 2, layerScale: true },
  decoder: { channels: 16, width: 32, depth: 1, heads: 2, hidden: 48, patch: 4, tokens: 4 },
} as const;

export function visionWorks(precision: 'fp32' | 'bf16'): Work[] {
  const vision = {
    ours: 'vision',
    peer: 'vision',
    run: 'forward',
    unit: 'ms',
    training: false,
  } as const;
  const peers: Beside[] = precision === 'fp32' ? ['eager', 'compile', 'onnx'] : ['eager', 'compile'];
  return [
    ...Object.entries(encoders).map(([name, { title, batch, encoder }]) => ({
      name,
      title,
      ...vision,
      peers,
      config: { batch, encoder, precision },
      tokens: batch * (1 + encoder.registers + (encoder.size / encoder.patch) ** 2),
    })),
    {
      name: 'decode-xl',
      title: 'ViT-XL decoder: one latent of 256 tokens',
      ...vision,
      peers,
      config: {
        batch: 1,
        decoder: { channels: 768, width: 1152, depth: 28, heads: 16, hidden: 4096, patch: 16, tokens: 256 },
        precision,
      },
      tokens: 257,
    },
  ];
}
