// Bias, layer scale, residual and layer norm of a ViT block in one pass over the tokens, and the bias and GELU of its feed-forward in
// another. For inference: there is no way back.
#include "kernels.h"
#include "vec.h"

namespace rae::kernels::RAE_CAPABILITY {

namespace {

template <typename T>
void residual_norm(const LayerNorm& p, int64_t begin, int64_t end) {
  const int64_t width = p.width, last = end * kBlock < p.rows ? end * kBlock : p.rows;
  for (int64_t row = begin * kBlock; row < last; row++) {
    const float* x = p.x + row * width;
    Vec total{};
    if (p.branch != nullptr) {
      const T* branch = static_cast<const T*>(p.branch) + row * width;
      float* y = p.y + row * width;
      each(width, [&](auto i) {
        const Vec b = i.load(branch) + i.load(p.bias);
        const Vec v = i.load(x) + (p.scale != nullptr ? i.load(p.scale) * b : b);
        i.store(y, v);
        total += v;
      });
      x = y;
    } else {
      each(width, [&](auto i) { total += i.load(x); });
    }
    if (p.out == nullptr) continue;
    // Twice over the row, which is in the cache: the difference of sums would lose what is left of a large mean.
    const float mean = sum(total) / static_cast<float>(width);
    Vec squares{};
    int64_t at = 0;
    for (; at + kLanes <= width; at += kLanes) {
      const Vec v = load(x + at) - mean;
      squares += v * v;
    }
    float rest = 0;
    for (; at < width; at++) rest += (x[at] - mean) * (x[at] - mean);
    const float inverse = 1.0f / __builtin_sqrtf((sum(squares) + rest) / static_cast<float>(width) + p.eps);
    T* out = static_cast<T*>(p.out) + row * width;
    each(width, [&](auto i) { i.store(out, (i.load(x) - mean) * inverse * i.load(p.weight) + i.load(p.shift)); });
  }
}

/** erf within 5e-7: a quotient of polynomials (the coefficients of Eigen's), exact to float32 beyond 4. */
Vec erf(Vec x) {
  const Vec four = splat(4.0f);
  const Vec v = select(x > four, four, select(x < -four, -four, x)), s = v * v;
  Vec p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s + -2.10102402082508e-06f;
  p = p * s + -5.69250639462346e-05f;
  p = p * s + -7.34990630326855e-04f;
  p = p * s + -2.95459980854025e-03f;
  p = p * s + -1.60960333262415e-02f;
  Vec q = s * -1.45660718464996e-05f + -2.13374055278905e-04f;
  q = q * s + -1.68282697438203e-03f;
  q = q * s + -7.37332916720468e-03f;
  q = q * s + -1.42647390514189e-02f;
  return select(x != x, x, v * p / q);
}

template <typename T>
void gelu(const Gelu& p, int64_t begin, int64_t end) {
  const int64_t last = end * kBlock < p.rows ? end * kBlock : p.rows;
  for (int64_t row = begin * kBlock; row < last; row++) {
    T* x = static_cast<T*>(p.x) + row * p.width;
    if (p.by_tanh) {
      each(p.width, [&](auto i) {
        const Vec v = i.load(x) + i.load(p.bias);
        i.store(x, v * sigmoid(1.5957691216057308f * (v + 0.044715f * v * v * v)));  // tanh(u) = 2 sigmoid(2 u) - 1
      });
    } else {
      each(p.width, [&](auto i) {
        const Vec v = i.load(x) + i.load(p.bias);
        i.store(x, 0.5f * v * (1.0f + erf(v * 0.70710678118654752f)));
      });
    }
  }
}

template <typename T>
void add_bias(const Gelu& p, int64_t begin, int64_t end) {
  const int64_t last = end * kBlock < p.rows ? end * kBlock : p.rows;
  for (int64_t row = begin * kBlock; row < last; row++) {
    T* x = static_cast<T*>(p.x) + row * p.width;
    each(p.width, [&](auto i) { i.store(x, i.load(x) + i.load(p.bias)); });
  }
}

}  // namespace

void layer_norm(Kind kind, const LayerNorm& p, int64_t begin, int64_t end) {
  kind == Kind::kFloat ? residual_norm<float>(p, begin, end) : residual_norm<bf16>(p, begin, end);
}

void bias_gelu(Kind kind, const Gelu& p, int64_t begin, int64_t end) {
  kind == Kind::kFloat ? gelu<float>(p, begin, end) : gelu<bf16>(p, begin, end);
}

void bias_add(Kind kind, const Gelu& p, int64_t begin, int64_t end) {
  kind == Kind::kFloat ? add_bias<float>(p, begin, end) : add_bias<bf16>(p, begin, end);
}

}  // namespace rae::kernels::RAE_CAPABILITY
