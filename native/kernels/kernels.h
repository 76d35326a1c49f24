// The element-wise kernels of own operators, free of Node and libtorch: what they take, and a table of them for each capability.
// A kernel walks rows of contiguous elements and is handed a range of them; who calls it shares the ranges out over threads.
// Sums over rows go to partial sums of one block of rows each and are added up in order, so that no result depends on threads.
#pragma once

#include <cstdint>

namespace rae::kernels {

/** float32 all through; float32 between and bfloat16 inside (autocast); bfloat16 for both. */
enum class Kind : int32_t { kFloat = 0, kMixed = 1, kHalf = 2 };

/**
 * Rows of a sequence, `tokens` of them a picture. Modulation is read and its gradient written at `modulation + row * stride`, with one
 * row a picture or, with `per_token`, one a token. A block is `kBlock` tokens of one picture, or what is left of them.
 */
struct Rows {
  int64_t pictures, tokens, width, stride;
  bool per_token;
};

constexpr int64_t kBlock = 64;
constexpr int64_t blocks_of(int64_t tokens) { return (tokens + kBlock - 1) / kBlock; }

/** y = x + gate * (branch + bias), then out = (y / rms(y)) * weight * (1 + scale) + shift. Without `branch`, y is x. Without `out`, no norm. */
struct NormForward {
  Rows rows;
  float eps;
  const void *x, *branch, *gate;
  const float *bias, *weight;
  const void *scale, *shift;
  void* y;
  float* inverse;  // 1 / rms(y), a number a row
  void* out;
};

/**
 * Backward of the same: `grad` is of y from elsewhere, `grad_out` of `out` (none: no norm). Gives grad_y (of x as well) and grad_branch.
 * `sums` holds kSums * width numbers a block: see norm.cc; norm_reduce makes gradients of them.
 */
struct NormBackward {
  Rows rows;
  const void *grad, *grad_out, *y;
  const float *inverse, *weight;
  const void *scale, *branch, *gate;
  const float* bias;
  void *grad_y, *grad_branch;
  void *grad_scale, *grad_shift, *grad_gate;
  float* sums;
  float *grad_weight, *grad_bias;  // of width; written by norm_reduce
};
constexpr int64_t kSums = 4;

/** out = silu(a) * b with rows [a | b] of twice the width, to both of which `bias` is added. Backward: `sums` has 2 * width a block. */
struct Swiglu {
  int64_t rows, width;
  const void* in;
  const float* bias;
  void* out;
  const void* grad_out;
  void* grad_in;
  float* sums;
};

/**
 * Rows [q | k | v] of 3 * width: adds bias, turns the pairs of q and k by the angles of their token (cosine and sine rows of `period`
 * numbers, repeated over the width; none: no turning). Backward turns gradients back and joins them; their rows are `stride_n` apart in
 * a picture and `stride_b` between pictures. `sums` has 3 * width a block.
 */
struct Rotary {
  int64_t pictures, tokens, width, period;
  const float *cosine, *sine;
  const void* in;
  const float* bias;
  void* out;
  const void *grad_q, *grad_k, *grad_v;
  int64_t stride_b, stride_n;
  void* grad_in;
  float* sums;
  bool in_half, out_half;  // bfloat16 of `in` and grad_in, and of `out` and the gradients
};

/** y = x + scale * (branch + bias), then out = layer_norm(y) * weight + shift. Without `branch`, y is x. Without `out`, no norm. x and y are
 * float32; branch and out are float32 or bfloat16. */
struct LayerNorm {
  int64_t rows, width;
  float eps;
  const float* x;
  const void* branch;
  const float *bias, *scale;  // no scale: 1
  float* y;
  const float *weight, *shift;
  void* out;
};

/** x = gelu(x + bias) in place, or x + bias alone. */
struct Gelu {
  int64_t rows, width;
  void* x;
  const float* bias;
  bool by_tanh;
};

/** Adds up `blocks` rows of `width` in order. */
struct Sums {
  int64_t blocks, width;
  const float* sums;
  float* out;
};

/** One parameter. The gradient counts `scale` times; the parameter is multiplied by `keep` first; `average` (or none) moves by `weight`. */
struct Adamw {
  float *param, *average, *first, *second;
  const float* grad;
  float scale, keep, first_share, second_share, eps, rate, correction, weight;
};

struct Table {
  void (*norm_forward)(Kind, const NormForward&, int64_t begin, int64_t end);    // blocks
  void (*norm_backward)(Kind, const NormBackward&, int64_t begin, int64_t end);  // blocks
  void (*norm_reduce)(Kind, const NormBackward&);
  void (*swiglu_forward)(Kind, const Swiglu&, int64_t begin, int64_t end);   // blocks of kBlock rows
  void (*swiglu_backward)(Kind, const Swiglu&, int64_t begin, int64_t end);  // blocks of kBlock rows
  void (*rotary_forward)(const Rotary&, int64_t begin, int64_t end);         // blocks
  void (*rotary_backward)(const Rotary&, int64_t begin, int64_t end);        // blocks
  void (*add_up)(const Sums&);
  void (*layer_norm)(Kind, const LayerNorm&, int64_t begin, int64_t end);  // blocks of kBlock rows
  void (*bias_gelu)(Kind, const Gelu&, int64_t begin, int64_t end);        // blocks of kBlock rows
  void (*bias_add)(Kind, const Gelu&, int64_t begin, int64_t end);         // blocks of kBlock rows
  void (*adamw)(const Adamw&, int64_t begin, int64_t end);  // elements
  double (*squares)(const float*, int64_t n);
};

/** The table for this processor (and ATEN_CPU_CAPABILITY). */
const Table& table();

}  // namespace rae::kernels
