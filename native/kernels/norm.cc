// Gate, residual, RMS norm and modulation of a transformer block in one pass over the tokens, and the way back.
// Rounds as the composed operators do: float32 inside, then once to the dtype of the result.
#include "kernels.h"
#include "vec.h"

namespace rae::kernels::RAE_CAPABILITY {

namespace {

/** The tokens of a block: rows `first` to `last` of all, of picture `picture`. */
struct Block {
  int64_t picture, first, last;
};

Block block_at(const Rows& rows, int64_t index) {
  const int64_t per_picture = blocks_of(rows.tokens), picture = index / per_picture;
  const int64_t from = index % per_picture * kBlock, to = from + kBlock < rows.tokens ? from + kBlock : rows.tokens;
  return {picture, picture * rows.tokens + from, picture * rows.tokens + to};
}

template <typename T>
const T* row_of(const void* base, int64_t row, int64_t stride) {
  return static_cast<const T*>(base) + row * stride;
}

template <typename T>
T* row_of(void* base, int64_t row, int64_t stride) {
  return static_cast<T*>(base) + row * stride;
}

template <typename X, typename T>
void forward(const NormForward& p, int64_t begin, int64_t end) {
  const auto& rows = p.rows;
  const int64_t width = rows.width;
  for (int64_t index = begin; index < end; index++) {
    const Block block = block_at(rows, index);
    for (int64_t row = block.first; row < block.last; row++) {
      const int64_t m = rows.per_token ? row : block.picture;
      const X* x = row_of<X>(p.x, row, width);
      Vec squares{};
      if (p.branch != nullptr) {
        const T *branch = row_of<T>(p.branch, row, width), *gate = row_of<T>(p.gate, m, rows.stride);
        X* y = row_of<X>(p.y, row, width);
        each(width, [&](auto i) {
          const Vec b = p.bias != nullptr ? i.load(branch) + i.load(p.bias) : i.load(branch);
          i.store(y, i.load(x) + i.load(gate) * b);
          const Vec rounded = i.load(y);
          squares += rounded * rounded;
        });
        x = y;
      } else {
        each(width, [&](auto i) {
          const Vec v = i.load(x);
          squares += v * v;
        });
      }
      if (p.out == nullptr) continue;
      const float inverse = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + p.eps);
      p.inverse[row] = inverse;
      const T *scale = row_of<T>(p.scale, m, rows.stride), *shift = row_of<T>(p.shift, m, rows.stride);
      T* out = row_of<T>(p.out, row, width);
      each(width, [&](auto i) {
        const Vec w = i.load(p.weight);
        i.store(out, i.load(shift) + i.load(x) * inverse * (w + w * i.load(scale)));
      });
    }
  }
}

// Partial sums of a block, each of width. With one modulation row a picture the gradients of weight, scale and bias follow from sums
// over its tokens alone:
enum { kGradOut = 0, kGradOutNormed = 1, kGradY = 2, kGradYBranch = 3 };
// with one a token they are written row by row, and the sums are those of the weight and the bias:
enum { kWeight = 1, kBias = 2 };

template <typename X, typename T>
void backward(const NormBackward& p, int64_t begin, int64_t end) {
  const auto& rows = p.rows;
  const int64_t width = rows.width;
  for (int64_t index = begin; index < end; index++) {
    const Block block = block_at(rows, index);
    float* sums = p.sums + index * kSums * width;
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(kSums * width));
    float *s0 = sums, *s1 = sums + width, *s2 = sums + 2 * width, *s3 = sums + 3 * width;
    for (int64_t row = block.first; row < block.last; row++) {
      const int64_t m = rows.per_token ? row : block.picture;
      const X* grad = row_of<X>(p.grad, row, width);
      const X* total = grad;  // the gradient of y
      if (p.grad_out != nullptr) {
        const T *grad_out = row_of<T>(p.grad_out, row, width), *scale = row_of<T>(p.scale, m, rows.stride);
        const X* y = row_of<X>(p.y, row, width);
        const float inverse = p.inverse[row];
        Vec dots{};
        if (rows.per_token) {
          T *grad_scale = row_of<T>(p.grad_scale, m, rows.stride), *grad_shift = row_of<T>(p.grad_shift, m, rows.stride);
          each(width, [&](auto i) {
            const Vec g = i.load(grad_out), w = i.load(p.weight), normed = i.load(y) * inverse, gain = 1.0f + i.load(scale);
            const Vec by_normed = g * normed;
            dots += by_normed * (w * gain);
            i.store(grad_shift, g);
            i.store(grad_scale, by_normed * w);
            i.store(s1, i.load(s1) + by_normed * gain);
          });
        } else {
          each(width, [&](auto i) {
            const Vec g = i.load(grad_out), w = i.load(p.weight), normed = i.load(y) * inverse;
            const Vec by_normed = g * normed;
            dots += by_normed * (w + w * i.load(scale));
            i.store(s0, i.load(s0) + g);
            i.store(s1, i.load(s1) + by_normed);
          });
        }
        const float mean = sum(dots) / static_cast<float>(width);
        X* grad_y = row_of<X>(p.grad_y, row, width);
        each(width, [&](auto i) {
          const Vec w = i.load(p.weight), normed = i.load(y) * inverse;
          const Vec g = i.load(grad_out) * (w + w * i.load(scale));
          const Vec through = inverse * (g - normed * mean);
          i.store(grad_y, grad != nullptr ? i.load(grad) + through : through);
        });
        total = grad_y;
      }
      if (p.branch == nullptr) continue;
      const T *branch = row_of<T>(p.branch, row, width), *gate = row_of<T>(p.gate, m, rows.stride);
      T* grad_branch = row_of<T>(p.grad_branch, row, width);
      if (rows.per_token) {
        T* grad_gate = row_of<T>(p.grad_gate, m, rows.stride);
        each(width, [&](auto i) {
          const Vec g = i.load(total), by_gate = g * i.load(gate);
          const Vec b = p.bias != nullptr ? i.load(branch) + i.load(p.bias) : i.load(branch);
          i.store(grad_branch, by_gate);
          i.store(grad_gate, g * b);
          i.store(s2, i.load(s2) + by_gate);
        });
      } else {
        each(width, [&](auto i) {
          const Vec g = i.load(total);
          i.store(grad_branch, g * i.load(gate));
          i.store(s2, i.load(s2) + g);
          i.store(s3, i.load(s3) + g * i.load(branch));
        });
      }
    }
  }
}

template <typename T>
void reduce(const NormBackward& p) {
  const auto& rows = p.rows;
  const int64_t width = rows.width, per_picture = blocks_of(rows.tokens);
  if (p.grad_weight != nullptr) std::memset(p.grad_weight, 0, sizeof(float) * static_cast<size_t>(width));
  if (p.grad_bias != nullptr) std::memset(p.grad_bias, 0, sizeof(float) * static_cast<size_t>(width));
  for (int64_t picture = 0; picture < rows.pictures; picture++) {
    float* sums = p.sums + picture * per_picture * kSums * width;
    for (int64_t block = 1; block < per_picture; block++) {
      const float* more = sums + block * kSums * width;
      each(kSums * width, [&](auto i) { i.store(sums, i.load(sums) + i.load(more)); });
    }
    const float *s0 = sums + kGradOut * width, *s1 = sums + kGradOutNormed * width, *s2 = sums + kGradY * width, *s3 = sums + kGradYBranch * width;
    if (rows.per_token) {
      if (p.grad_weight != nullptr) each(width, [&](auto i) { i.store(p.grad_weight, i.load(p.grad_weight) + i.load(sums + kWeight * width)); });
      if (p.grad_bias != nullptr) each(width, [&](auto i) { i.store(p.grad_bias, i.load(p.grad_bias) + i.load(sums + kBias * width)); });
      continue;
    }
    if (p.grad_out != nullptr) {
      const T* scale = row_of<T>(p.scale, picture, rows.stride);
      T *grad_scale = row_of<T>(p.grad_scale, picture, rows.stride), *grad_shift = row_of<T>(p.grad_shift, picture, rows.stride);
      each(width, [&](auto i) {
        i.store(grad_shift, i.load(s0));
        i.store(grad_scale, i.load(s1) * i.load(p.weight));
        i.store(p.grad_weight, i.load(p.grad_weight) + i.load(s1) * (1.0f + i.load(scale)));
      });
    }
    if (p.branch != nullptr) {
      const T* gate = row_of<T>(p.gate, picture, rows.stride);
      T* grad_gate = row_of<T>(p.grad_gate, picture, rows.stride);
      each(width, [&](auto i) {
        const Vec g = i.load(s2);
        i.store(grad_gate, p.bias != nullptr ? i.load(s3) + i.load(p.bias) * g : i.load(s3));
        i.store(p.grad_bias, i.load(p.grad_bias) + i.load(gate) * g);
      });
    }
  }
}

}  // namespace

void norm_forward(Kind kind, const NormForward& p, int64_t begin, int64_t end) {
  switch (kind) {
    case Kind::kFloat: return forward<float, float>(p, begin, end);
    case Kind::kMixed: return forward<float, bf16>(p, begin, end);
    case Kind::kHalf: return forward<bf16, bf16>(p, begin, end);
  }
}

void norm_backward(Kind kind, const NormBackward& p, int64_t begin, int64_t end) {
  switch (kind) {
    case Kind::kFloat: return backward<float, float>(p, begin, end);
    case Kind::kMixed: return backward<float, bf16>(p, begin, end);
    case Kind::kHalf: return backward<bf16, bf16>(p, begin, end);
  }
}

void norm_reduce(Kind kind, const NormBackward& p) { kind == Kind::kFloat ? reduce<float>(p) : reduce<bf16>(p); }

}  // namespace rae::kernels::RAE_CAPABILITY
