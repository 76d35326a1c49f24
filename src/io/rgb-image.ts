// The picture type that decoders, grids and encoders exchange.

/** Interleaved RGB, row-major: data[(y * width + x) * 3 + channel]. */
export interface RgbImage {
  width: number;
  height: number;
  data: Uint8Array;
}
