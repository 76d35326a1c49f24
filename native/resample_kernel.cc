// Pillow's 8-bit resampler, byte for byte (spec 13.4; Pillow 12 and older: the horizontal pass always runs first).
// Each pass is a sum of bytes times fixed-point weights with 22 fractional bits, rounded back to a byte; a pass whose
// size does not change is left out. Differs from Pillow: a resize followed by a crop computes only what the crop keeps.
#include "resample_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

// A fused multiply-add in the weights would move a rounding now and then.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

// The vertical pass lives from a 32-bit vector multiply, which baseline x86-64 lacks: chosen at run time.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define RAE_CLONES __attribute__((target_clones("avx512f", "avx2", "sse4.1", "default")))
#else
#define RAE_CLONES
#endif

namespace rae::resample {

namespace {

constexpr int kFractionBits = 32 - 8 - 2;
constexpr int64_t kMaxSide = 1 << 20;

// ── filters ───────────────────────────────────────────
double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double hamming(double x) {
  x = std::abs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= M_PI;
  return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= M_PI;
  return std::sin(x) / x;
}

double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Kernel {
  double (*weight)(double);
  double support;
};

Kernel kernel_of(int32_t filter) {
  switch (filter) {
    case kBox: return {box, 0.5};
    case kBilinear: return {bilinear, 1.0};
    case kBicubic: return {bicubic, 2.0};
    case kHamming: return {hamming, 1.0};
    case kLanczos: return {lanczos, 3.0};
    default: throw std::invalid_argument("unknown filter " + std::to_string(filter));
  }
}

// ── weights ───────────────────────────────────────────
/** For every output position of one axis: the first input position, and `taps` weights (zero beyond `count`). */
struct Axis {
  int64_t taps = 0;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;
};

/** Weights for the outputs begin..end-1 when `in` samples become `out`. */
Axis weights_of(int64_t in, int64_t out, const Kernel& kernel, int64_t begin, int64_t end) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = std::max(scale, 1.0);  // shrinking widens the window, growing does not narrow it
  const double support = kernel.support * filter_scale;
  const double inverse = 1.0 / filter_scale;

  Axis axis;
  axis.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  axis.weights.assign((end - begin) * axis.taps, 0);
  std::vector<double> exact(axis.taps);
  for (int64_t i = begin; i < end; i++) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t count = std::min<int64_t>(in, static_cast<int64_t>(center + support + 0.5)) - first;
    double sum = 0;
    for (int64_t k = 0; k < count; k++) {
      exact[k] = kernel.weight((static_cast<double>(k + first) - center + 0.5) * inverse);
      sum += exact[k];
    }
    int32_t* fixed = &axis.weights[(i - begin) * axis.taps];
    for (int64_t k = 0; k < count; k++) {
      const double w = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << kFractionBits);
      fixed[k] = static_cast<int32_t>(w < 0 ? w - 0.5 : w + 0.5);  // half away from zero
    }
    axis.first.push_back(first);
    axis.count.push_back(count);
  }
  return axis;
}

inline uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// ── passes ────────────────────────────────────────────
template <int C>
inline void horizontal(const uint8_t* in, int64_t in_width, int64_t rows, const Axis& axis, uint8_t* out) {
  const auto out_width = static_cast<int64_t>(axis.first.size());
  for (int64_t y = 0; y < rows; y++) {
    const uint8_t* line = in + y * in_width * C;
    uint8_t* to = out + y * out_width * C;
    for (int64_t x = 0; x < out_width; x++) {
      const uint8_t* from = line + axis.first[x] * C;
      const int32_t* w = &axis.weights[x * axis.taps];
      int32_t sum[C];
      for (int c = 0; c < C; c++) sum[c] = kHalf;
      for (int64_t k = 0; k < axis.count[x]; k++)
        for (int c = 0; c < C; c++) sum[c] += from[k * C + c] * w[k];
      for (int c = 0; c < C; c++) to[x * C + c] = to_byte(sum[c]);
    }
  }
}

void horizontal_any(const uint8_t* in, int64_t in_width, int64_t rows, int channels, const Axis& axis, uint8_t* out) {
  switch (channels) {
    case 1: return horizontal<1>(in, in_width, rows, axis, out);
    case 2: return horizontal<2>(in, in_width, rows, axis, out);
    case 3: return horizontal<3>(in, in_width, rows, axis, out);
    default: return horizontal<4>(in, in_width, rows, axis, out);
  }
}

/** One output row: `count` rows of `row` bytes, `stride` apart, times the weights w. */
RAE_CLONES void vertical_row(const uint8_t* in, int64_t stride, int64_t row, const int32_t* w, int64_t count, uint8_t* out) {
  constexpr int64_t kBlock = 512;  // 2 KiB of sums stay in the first-level cache
  int32_t sum[kBlock];
  for (int64_t start = 0; start < row; start += kBlock) {
    const int64_t n = std::min(kBlock, row - start);
    for (int64_t x = 0; x < n; x++) sum[x] = kHalf;
    for (int64_t k = 0; k < count; k++) {
      const uint8_t* from = in + k * stride + start;
      const int32_t weight = w[k];
      for (int64_t x = 0; x < n; x++) sum[x] += from[x] * weight;
    }
    for (int64_t x = 0; x < n; x++) {
      const int32_t v = sum[x] >> kFractionBits;
      out[start + x] = static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
    }
  }
}

// ── steps ─────────────────────────────────────────────
struct Window {
  int64_t left, top, width, height;
};

/** Resizes to `to`, keeping only `window` of the result. */
void resize(const uint8_t* in, Size from, int channels, Size to, const Kernel& kernel, Window window, uint8_t* out) {
  const bool wide = from.width != to.width, high = from.height != to.height;
  Axis x_axis, y_axis;
  int64_t first_row = window.top, rows = window.height;
  if (high) {
    y_axis = weights_of(from.height, to.height, kernel, window.top, window.top + window.height);
    first_row = y_axis.first.front();
    rows = y_axis.first.back() + y_axis.count.back() - first_row;
  }

  const int64_t stride = from.width * channels, row = window.width * channels;
  const uint8_t* lines = in + first_row * stride + window.left * channels;
  int64_t line_stride = stride;
  std::vector<uint8_t> between;
  if (wide) {
    x_axis = weights_of(from.width, to.width, kernel, window.left, window.left + window.width);
    if (high) between.resize(rows * row);
    horizontal_any(in + first_row * stride, from.width, rows, channels, x_axis, high ? between.data() : out);
    if (!high) return;
    lines = between.data();
    line_stride = row;
  }
  for (int64_t y = 0; y < window.height; y++) {
    if (!high) {
      std::memcpy(out + y * row, lines + y * line_stride, row);
      continue;
    }
    vertical_row(lines + (y_axis.first[y] - first_row) * line_stride, line_stride, row, &y_axis.weights[y * y_axis.taps],
                 y_axis.count[y], out + y * row);
  }
}

void crop(const uint8_t* in, Size from, int channels, Window window, uint8_t* out) {
  std::memset(out, 0, window.width * window.height * channels);
  const int64_t left = std::max<int64_t>(window.left, 0), right = std::min(window.left + window.width, from.width);
  const int64_t top = std::max<int64_t>(window.top, 0), bottom = std::min(window.top + window.height, from.height);
  if (right <= left) return;
  for (int64_t y = top; y < bottom; y++)
    std::memcpy(out + ((y - window.top) * window.width + left - window.left) * channels,
                in + (y * from.width + left) * channels, (right - left) * channels);
}

void mirror(const uint8_t* in, Size size, int channels, uint8_t* out) {
  for (int64_t y = 0; y < size.height; y++)
    for (int64_t x = 0; x < size.width; x++)
      std::memcpy(out + (y * size.width + x) * channels, in + (y * size.width + size.width - 1 - x) * channels, channels);
}

Window window_of(const Step& step) { return {step.a, step.b, step.c, step.d}; }

bool inside(Window w, Size s) {
  return w.left >= 0 && w.top >= 0 && w.left + w.width <= s.width && w.top + w.height <= s.height;
}

void check_size(int64_t width, int64_t height, const char* what) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide)
    throw std::invalid_argument(std::string(what) + " of " + std::to_string(width) + " x " + std::to_string(height));
}

}  // namespace

Size size_after(Size size, const std::vector<Step>& steps) {
  check_size(size.width, size.height, "a picture");
  for (const Step& step : steps) {
    if (step.op == kResize) {
      kernel_of(step.c);
      check_size(step.a, step.b, "a resize");
      size = {step.a, step.b};
    } else if (step.op == kCrop) {
      check_size(step.c, step.d, "a crop");
      size = {step.c, step.d};
    } else if (step.op != kMirror) {
      throw std::invalid_argument("unknown step " + std::to_string(step.op));
    }
  }
  return size;
}

void run(const uint8_t* source, Size size, int channels, const std::vector<Step>& steps, uint8_t* target) {
  std::vector<uint8_t> held, made;  // the picture that the next step reads, and the one it writes
  const uint8_t* in = source;
  for (size_t i = 0; i < steps.size(); i++) {
    const Step& step = steps[i];
    Size next = size_after(size, {step});
    Window window{0, 0, next.width, next.height};
    if (step.op == kResize && i + 1 < steps.size() && steps[i + 1].op == kCrop && inside(window_of(steps[i + 1]), next)) {
      window = window_of(steps[++i]);
    }
    uint8_t* out = target;
    if (i + 1 < steps.size()) {
      made.resize(window.width * window.height * channels);
      out = made.data();
    }
    if (step.op == kResize) {
      resize(in, size, channels, next, kernel_of(step.c), window, out);
    } else if (step.op == kCrop) {
      crop(in, size, channels, window_of(step), out);
    } else {
      mirror(in, size, channels, out);
    }
    size = {window.width, window.height};
    held.swap(made);
    in = held.data();
  }
  if (steps.empty()) std::memcpy(target, source, size.width * size.height * channels);
}

}  // namespace rae::resample
