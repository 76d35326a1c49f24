// Pillow-exact resampling of 8-bit pictures, free of Node and libtorch: see resample_kernel.cc.
#pragma once

#include <cstdint>
#include <vector>

namespace rae::resample {

/** Filters by their number in the TypeScript face (src/data/resample.ts). */
enum Filter : int32_t { kBox = 0, kBilinear = 1, kBicubic = 2, kHamming = 3, kLanczos = 4 };

enum Op : int32_t {
  kResize = 0,  // a = width, b = height, c = filter
  kCrop = 1,    // a = left, b = top, c = width, d = height; what lies outside the picture is black
  kMirror = 2,  // left and right exchanged
};

struct Step {
  int32_t op, a, b, c, d;
};

struct Size {
  int64_t width, height;
};

/** The size after all steps; throws std::invalid_argument for a step that cannot be taken. */
Size size_after(Size source, const std::vector<Step>& steps);

/** Runs the steps on interleaved bytes [height, width, channels] (channels 1 to 4) and writes size_after(...) * channels bytes to `target`. */
void run(const uint8_t* source, Size size, int channels, const std::vector<Step>& steps, uint8_t* target);

}  // namespace rae::resample
