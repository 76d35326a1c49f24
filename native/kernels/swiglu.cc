// silu(a) * b and its gradients, with the bias of the layer before: the gated feed-forward between its two matrix products.
#include "kernels.h"
#include "vec.h"

namespace rae::kernels::RAE_CAPABILITY {

namespace {

template <typename T>
void forward(const Swiglu& p, int64_t begin, int64_t end) {
  const int64_t last = end * kBlock < p.rows ? end * kBlock : p.rows;
  for (int64_t row = begin * kBlock; row < last; row++) {
    const T *a = static_cast<const T*>(p.in) + row * 2 * p.width, *b = a + p.width;
    T* out = static_cast<T*>(p.out) + row * p.width;
    if (p.bias != nullptr) {
      each(p.width, [&](auto i) {
        const Vec x = i.load(a) + i.load(p.bias);
        i.store(out, x * sigmoid(x) * (i.load(b) + i.load(p.bias + p.width)));
      });
    } else {
      each(p.width, [&](auto i) {
        const Vec x = i.load(a);
        i.store(out, x * sigmoid(x) * i.load(b));
      });
    }
  }
}

template <typename T>
void backward(const Swiglu& p, int64_t begin, int64_t end) {
  const int64_t width = p.width;
  for (int64_t block = begin; block < end; block++) {
    float *sum_a = p.sums + block * 2 * width, *sum_b = sum_a + width;
    std::memset(sum_a, 0, sizeof(float) * static_cast<size_t>(2 * width));
    const int64_t last = (block + 1) * kBlock < p.rows ? (block + 1) * kBlock : p.rows;
    for (int64_t row = block * kBlock; row < last; row++) {
      const T *a = static_cast<const T*>(p.in) + row * 2 * width, *b = a + width;
      const T* grad_out = static_cast<const T*>(p.grad_out) + row * width;
      T *grad_a = static_cast<T*>(p.grad_in) + row * 2 * width, *grad_b = grad_a + width;
      each(width, [&](auto i) {
        const Vec x = p.bias != nullptr ? i.load(a) + i.load(p.bias) : i.load(a);
        const Vec y = p.bias != nullptr ? i.load(b) + i.load(p.bias + width) : i.load(b);
        const Vec g = i.load(grad_out), s = sigmoid(x);
        const Vec to_a = g * y * (s * (1.0f + x * (1.0f - s))), to_b = g * (x * s);
        i.store(grad_a, to_a);
        i.store(grad_b, to_b);
        i.store(sum_a, i.load(sum_a) + to_a);
        i.store(sum_b, i.load(sum_b) + to_b);
      });
    }
  }
}

}  // namespace

void swiglu_forward(Kind kind, const Swiglu& p, int64_t begin, int64_t end) {
  kind == Kind::kFloat ? forward<float>(p, begin, end) : forward<bf16>(p, begin, end);
}

void swiglu_backward(Kind kind, const Swiglu& p, int64_t begin, int64_t end) {
  kind == Kind::kFloat ? backward<float>(p, begin, end) : backward<bf16>(p, begin, end);
}

/** Here because it belongs to all: partial sums of blocks, in order. */
void add_up(const Sums& p) {
  std::memset(p.out, 0, sizeof(float) * static_cast<size_t>(p.width));
  for (int64_t block = 0; block < p.blocks; block++) {
    const float* sums = p.sums + block * p.width;
    each(p.width, [&](auto i) { i.store(p.out, i.load(p.out) + i.load(sums)); });
  }
}

}  // namespace rae::kernels::RAE_CAPABILITY
