// The networks: encoders, decoder, RAE, both generators, discriminator, and those that losses and metrics look through.

export * from './alexnet.ts';
export * from './decoder.ts';
export * from './dino-trunk.ts';
export * from './discriminator.ts';
export * from './dit.ts';
export * from './dit-dh.ts';
export * from './encoders/index.ts';
export * from './inception.ts';
export * from './mae.ts';
export * from './rae.ts';
export * from './squeezenet.ts';
export * from './stage2.ts';
export * from './vgg.ts';
export * from './vit.ts';
