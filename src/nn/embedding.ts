// A table of vectors looked up by index (torch.nn.Embedding; initial values N(0, 1)).

import { embedding, empty, type Tensor } from '../tensor/index.ts';
import { type InitOptions, normal_ } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

export class Embedding extends Module {
  readonly weight: Parameter; // [entries, width]

  constructor(entries: number, width: number, { generator }: InitOptions = {}) {
    super();
    this.weight = parameter(normal_(empty([entries, width]), { generator }));
  }

  forward(indices: Tensor): Tensor {
    return embedding(this.weight, indices); // i64 [...] -> [..., width]
  }
}
