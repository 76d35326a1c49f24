// AdamW with the scale of clipped gradients and the moving average folded in, and the sum of squares for the norm: one pass each.
// The formulas, and the order in which they round, are libtorch's (fused_adam_kernel, lerp). The shares of the gradient arrive as 1 - beta: made of
// a beta in float32 that difference would be off by 5e-5.
#include "kernels.h"
#include "vec.h"

namespace rae::kernels::RAE_CAPABILITY {

void adamw(const Adamw& p, int64_t begin, int64_t end) {
  float *param = p.param + begin, *average = p.average, *first = p.first + begin, *second = p.second + begin;
  const float* grad = p.grad + begin;
  if (average != nullptr) average += begin;
  each(end - begin, [&](auto i) {
    const Vec g = i.load(grad) * p.scale;
    const Vec w = i.load(param) * p.keep;
    Vec m = i.load(first), v = i.load(second);
    m = m + p.first_share * (g - m);
    v = v * (1.0f - p.second_share) + p.second_share * g * g;
    i.store(first, m);
    i.store(second, v);
    const Vec next = w - p.rate * m / (square_root(v) / p.correction + p.eps);
    i.store(param, next);
    if (average == nullptr) return;
    const Vec a = i.load(average);
    i.store(average, p.weight < 0.5f ? a + p.weight * (next - a) : next - (next - a) * (1.0f - p.weight));
  });
}

double squares(const float* x, int64_t n) {
  Vec sums{};
  each(n, [&](auto i) {
    const Vec v = i.load(x);
    sums += v * v;
  });
  return static_cast<double>(sum(sums));
}

}  // namespace rae::kernels::RAE_CAPABILITY
