// What one small operator costs: an addition of four numbers, its result freed with its scope. Divide by `calls`.
import { ones, tidy } from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';

const { calls } = configuration<{ calls: number }>();
const x = ones([4]);
const y = ones([4]);
const SCOPE = 100; // operators of one scope: about a layer

await serve({
  add: () => {
    for (let i = 0; i < calls; i += SCOPE) {
      tidy(() => {
        for (let j = 0; j < SCOPE; j++) x.add(y);
      });
    }
    return tidy(() => x.add(y).sum().item());
  },
});
