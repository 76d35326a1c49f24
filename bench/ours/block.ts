// A pre-norm transformer block (ViT: attention and GELU feed-forward), forward and backward.
import { ViTBlock } from '../../src/models/layers/vit-block.ts';
import { backward, dispose, manualSeed, randn, tidy } from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights } from './start.ts';

const { batch, tokens, width, heads, hidden } = configuration<{
  batch: number;
  tokens: number;
  width: number;
  heads: number;
  hidden: number;
}>();
const block = new ViTBlock({ width, heads, hidden, feedForward: 'gelu', layerScale: false, eps: 1e-6 });
const parameters = block.namedParameters();
manualSeed(0);
drawWeights(parameters);
const x = randn([batch, tokens, width]).setRequiresGrad();

await serve({
  block: () => {
    const value = tidy(() => {
      const mean = block.forward(x).square().mean();
      backward(mean);
      return mean.item();
    });
    for (const p of [x, ...block.parameters()]) p.setGrad(undefined);
    return value;
  },
});
dispose(x);
