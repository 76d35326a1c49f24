import { expect, test } from 'vitest';
import { sizesOf } from '../cli/estimate.ts';
import { resolveConfig } from '../config/index.ts';
import { estimateStage1 } from '../train/estimate.ts';
import { recipe, recipes } from './index.ts';

const stage1 = Object.keys(recipes).filter((name) => name.endsWith('-rae'));

test.each(stage1)(
  '%s resolves, its sizes fit each other, and what it takes can be told without any weights',
  (name) => {
    const base = recipe(name);
    const config = resolveConfig({
      ...base,
      data: { ...base.data, ...(base.data?.synthetic ? {} : { path: 'pictures' }) },
    });
    // photos-rae is over an encoder of the user's own, which sees 64 pixels
    const { reconstruction, adversarial } = estimateStage1(config, sizesOf(config));
    expect(reconstruction.flops).toBeGreaterThan(1e9);
    expect(adversarial !== undefined).toBe(config.gan !== undefined);
  },
);
