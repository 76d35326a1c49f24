// Rotary positions on q and k where the projection left them, with its bias: (x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin) on
// neighbouring pairs (RoFormer). Backward turns the other way and joins the gradients of q, k and v for the projection.
#include "kernels.h"
#include "vec.h"

namespace rae::kernels::RAE_CAPABILITY {

namespace {

inline Vec swap_pairs(Vec v) {
#if defined(__clang__)
  return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#else
  return __builtin_shuffle(v, IntVec{1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14});
#endif
}

/** The sine of a pair's first element is subtracted, that of its second added; `way` turns this around. */
inline Vec turn(Vec v, Vec cosine, Vec sine, float way) {
  constexpr Vec sign{-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};
  return v * cosine + swap_pairs(v) * (sine * (sign * way));
}

struct Block {
  int64_t picture, first, last;  // tokens of the picture
};

Block block_at(const Rotary& p, int64_t index) {
  const int64_t per_picture = blocks_of(p.tokens), from = index % per_picture * kBlock;
  return {index / per_picture, from, from + kBlock < p.tokens ? from + kBlock : p.tokens};
}

/** Calls f(step, cosine row, sine row) over a row of `width`, in which the rows of angles repeat. */
template <typename F>
void with_angles(const Rotary& p, int64_t token, F&& f) {
  const float *cosine = p.cosine + token * p.period, *sine = p.sine + token * p.period;
  for (int64_t at = 0; at < p.width; at += p.period) {
    each(p.period, [&](auto i) {
      const Vec c = i.load(cosine), s = i.load(sine);
      i.at += at;
      f(i, c, s);
    });
  }
}

template <typename In, typename Out>
void forward(const Rotary& p, int64_t begin, int64_t end) {
  const int64_t width = p.width;
  for (int64_t index = begin; index < end; index++) {
    const Block block = block_at(p, index);
    for (int64_t token = block.first; token < block.last; token++) {
      const int64_t row = block.picture * p.tokens + token;
      const In* in = static_cast<const In*>(p.in) + row * 3 * width;
      Out* out = static_cast<Out*>(p.out) + row * 3 * width;
      const auto biased = [&](auto i, int64_t part) {
        const Vec v = i.load(in + part * width);
        return p.bias != nullptr ? v + i.load(p.bias + part * width) : v;
      };
      if (p.cosine != nullptr) {
        with_angles(p, token, [&](auto i, Vec cosine, Vec sine) {
          i.store(out, turn(biased(i, 0), cosine, sine, 1));
          i.store(out + width, turn(biased(i, 1), cosine, sine, 1));
        });
        each(width, [&](auto i) { i.store(out + 2 * width, biased(i, 2)); });
      } else {
        for (int64_t part = 0; part < 3; part++) each(width, [&](auto i) { i.store(out + part * width, biased(i, part)); });
      }
    }
  }
}

template <typename In, typename Out>
void backward(const Rotary& p, int64_t begin, int64_t end) {
  const int64_t width = p.width;
  for (int64_t index = begin; index < end; index++) {
    const Block block = block_at(p, index);
    float* sums = p.sums + index * 3 * width;
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(3 * width));
    for (int64_t token = block.first; token < block.last; token++) {
      const int64_t at = block.picture * p.stride_b + token * p.stride_n;
      const Out *q = static_cast<const Out*>(p.grad_q) + at, *k = static_cast<const Out*>(p.grad_k) + at, *v = static_cast<const Out*>(p.grad_v) + at;
      In* grad = static_cast<In*>(p.grad_in) + (block.picture * p.tokens + token) * 3 * width;
      const auto give = [&](auto i, int64_t part, Vec g) {
        i.store(grad + part * width, g);
        i.store(sums + part * width, i.load(sums + part * width) + g);
      };
      if (p.cosine != nullptr) {
        with_angles(p, token, [&](auto i, Vec cosine, Vec sine) {
          give(i, 0, turn(i.load(q), cosine, sine, -1));
          give(i, 1, turn(i.load(k), cosine, sine, -1));
        });
      } else {
        each(width, [&](auto i) {
          give(i, 0, i.load(q));
          give(i, 1, i.load(k));
        });
      }
      each(width, [&](auto i) { give(i, 2, i.load(v)); });
    }
  }
}

}  // namespace

void rotary_forward(const Rotary& p, int64_t begin, int64_t end) {
  if (!p.in_half) return forward<float, float>(p, begin, end);
  p.out_half ? forward<bf16, bf16>(p, begin, end) : forward<bf16, float>(p, begin, end);
}

void rotary_backward(const Rotary& p, int64_t begin, int64_t end) {
  if (!p.in_half) return backward<float, float>(p, begin, end);
  p.out_half ? backward<bf16, bf16>(p, begin, end) : backward<bf16, float>(p, begin, end);
}

}  // namespace rae::kernels::RAE_CAPABILITY
