// Sixteen floats at a time, for compilers with vector extensions (g++, clang): one AVX-512 register, two AVX ones, four of SSE or NEON.
// Every kernel file is compiled once for each capability (scripts/lib/addon.mjs), so this needs no run-time choice of its own.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace rae::kernels::RAE_CAPABILITY {

constexpr int64_t kLanes = 16;

typedef float Vec __attribute__((vector_size(64)));
typedef int32_t IntVec __attribute__((vector_size(64)));
typedef uint32_t BitVec __attribute__((vector_size(64)));
typedef uint16_t HalfVec __attribute__((vector_size(32)));

/** bfloat16 as its bits: the upper half of a float. */
struct bf16 {
  uint16_t bits;
};

inline Vec splat(float x) { return x - Vec{}; }

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

inline Vec widen(HalfVec h) { return reinterpret_cast<Vec>(__builtin_convertvector(h, BitVec) << 16); }

/** Rounds to nearest even, as libtorch does. */
inline HalfVec narrow(Vec v) {
  const auto bits = reinterpret_cast<BitVec>(v);
  const BitVec rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const BitVec nan = reinterpret_cast<BitVec>(v != v);
  return __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), HalfVec);
}

inline Vec load(const bf16* p) {
  HalfVec h;
  std::memcpy(&h, p, sizeof h);
  return widen(h);
}

inline void store(bf16* p, Vec v) {
  const HalfVec h = narrow(v);
  std::memcpy(p, &h, sizeof h);
}

/** The first `n` elements (fewer than sixteen); the others are zero. */
template <typename T>
inline Vec load_some(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Vec>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p));
  }
#endif
  T whole[kLanes] = {};
  for (int64_t i = 0; i < n; i++) whole[i] = p[i];
  return load(whole);
}

template <typename T>
inline void store_some(T* p, Vec v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512>(v));
    return;
  }
#endif
  T whole[kLanes];
  store(whole, v);
  for (int64_t i = 0; i < n; i++) p[i] = whole[i];
}

/** Which elements of an array a step of each() covers: `load` and `store` go through it, so that a tail costs the code nothing. */
struct Whole {
  int64_t at;
  template <typename T>
  Vec load(const T* p) const { return RAE_CAPABILITY::load(p + at); }
  template <typename T>
  void store(T* p, Vec v) const { RAE_CAPABILITY::store(p + at, v); }
};

struct Tail {
  int64_t at, n;
  template <typename T>
  Vec load(const T* p) const { return load_some(p + at, n); }
  template <typename T>
  void store(T* p, Vec v) const { store_some(p + at, v, n); }
};

/** Runs `f` over the n elements of a row, sixteen at a time. */
template <typename F>
inline void each(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(Whole{i});
  if (i < n) f(Tail{i, n - i});
}

/** The sum of the lanes, always in the same order. */
inline float sum(Vec v) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

inline Vec select(IntVec where, Vec a, Vec b) {
  return reinterpret_cast<Vec>((where & reinterpret_cast<IntVec>(a)) | (~where & reinterpret_cast<IntVec>(b)));
}

inline Vec square_root(Vec v) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_sqrt_ps(reinterpret_cast<__m512>(v)));
#else
  for (int i = 0; i < kLanes; i++) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

/** e^x within 2 units in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN (Cephes' expf). */
inline Vec exp(Vec x) {
  const Vec low = splat(-87.33654f), high = splat(88.72283f);
  const Vec inside = select(x < low, low, select(x > high, high, x));
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Vec n = (inside * 1.44269504088896341f + magic) - magic;
  Vec r = inside - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two steps, for n = 128 is no exponent.
  const IntVec whole = __builtin_convertvector(n, IntVec);
  const IntVec half = whole >> 1;
  const Vec a = reinterpret_cast<Vec>((half + 127) << 23), b = reinterpret_cast<Vec>((whole - half + 127) << 23);
  const Vec y = select(x < low, Vec{}, p * a * b);
  const Vec infinity = splat(__builtin_inff());
  return select(x != x, x, select(x > high, infinity, y));
}

/** 1 / (1 + e^-x). */
inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

}  // namespace rae::kernels::RAE_CAPABILITY
