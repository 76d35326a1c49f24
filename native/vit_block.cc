// rae::vit_block: a pre-norm transformer block of a ViT in inference as one operator. Matrix products and attention are libtorch's; all
// between them is native/kernels: four passes over the tokens. It has no backward: who trains composes libtorch's operators.
//   y = x + scale1 * attention(norm1(x));  out = y + scale2 * fc2(gelu(fc1(norm2(y))))
#include "kernels/kernels.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

namespace rae {

namespace {

using at::Tensor;
using kernels::Kind;

struct Block {
  int64_t B, N, D, heads, rows;
  double eps;
  at::ScalarType inside;
  Kind kind;

  at::TensorOptions options() const { return at::TensorOptions().dtype(inside); }
};

/** Rows of `width`, shared out over threads. */
template <typename F>
void over_rows(int64_t rows, F f) {
  at::parallel_for(0, kernels::blocks_of(rows), 1, f);
}

void check_vector(const Tensor& t, int64_t width, const char* what) {
  TORCH_CHECK(t.is_cpu() && t.scalar_type() == at::kFloat && t.dim() == 1 && t.size(0) == width && t.is_contiguous(), "vit_block: expected ", what, " [", width, "] in float32, contiguous, on the CPU");
}

/** x W^T without its bias, which the next kernel adds. */
Tensor product(const Block& s, const Tensor& x, const Tensor& weight) {
  TORCH_CHECK(weight.is_cpu() && weight.dim() == 2 && weight.size(1) == x.size(1) && (weight.scalar_type() == at::kFloat || weight.scalar_type() == s.inside), "vit_block: expected a weight for ", x.size(1), " inputs on the CPU, in float32 or the dtype of the products");
  return at::mm(x, weight.to(s.inside).t());
}

/** Bias, scale and residual of a branch, and the norm of what comes out; without `out` no norm. */
void residual(const Block& s, const Tensor& x, const Tensor& branch, const Tensor& bias, const std::optional<Tensor>& scale, const Tensor& y, kernels::LayerNorm p) {
  check_vector(bias, s.D, "a bias");
  if (scale) check_vector(*scale, s.D, "a layer scale");
  p.rows = s.rows, p.width = s.D, p.x = x.const_data_ptr<float>();
  p.branch = branch.const_data_ptr(), p.bias = bias.const_data_ptr<float>(), p.scale = scale ? scale->const_data_ptr<float>() : nullptr;
  p.y = y.data_ptr<float>();
  over_rows(s.rows, [&](int64_t a, int64_t b) { kernels::table().layer_norm(s.kind, p, a, b); });
}

kernels::LayerNorm norm_of(const Block& s, const Tensor& weight, const Tensor& shift, Tensor& out) {
  check_vector(weight, s.D, "a norm's weight"), check_vector(shift, s.D, "a norm's bias");
  out = at::empty({s.rows, s.D}, s.options());
  kernels::LayerNorm p{};
  p.rows = s.rows, p.width = s.D, p.eps = static_cast<float>(s.eps);
  p.weight = weight.const_data_ptr<float>(), p.shift = shift.const_data_ptr<float>(), p.out = out.data_ptr();
  return p;
}

kernels::Gelu with_bias(const Tensor& x, const Tensor& bias) {
  check_vector(bias, x.size(1), "a bias");
  return {x.size(0), x.size(1), x.data_ptr(), bias.const_data_ptr<float>(), false};
}

/** q, k and v of the tokens [rows, D], from one matrix or three: each [B, H, N, d]. */
std::array<Tensor, 3> heads_of(const Block& s, const Tensor& x, at::TensorList qkv) {
  TORCH_CHECK(qkv.size() == 2 || qkv.size() == 6, "vit_block: expected one weight and bias of q, k and v, or three, received ", qkv.size(), " tensors");
  std::array<Tensor, 3> parts;
  for (size_t i = 0; i < qkv.size(); i += 2) {
    const Tensor made = product(s, x, qkv[i]);
    const auto p = with_bias(made, qkv[i + 1]);
    over_rows(s.rows, [&](int64_t a, int64_t b) { kernels::table().bias_add(s.kind, p, a, b); });
    const int64_t width = made.size(1), d = s.D / s.heads;
    TORCH_CHECK(width == (qkv.size() == 2 ? 3 : 1) * s.D, "vit_block: expected q, k and v of width ", s.D, ", received ", width);
    const auto head_view = [&](int64_t part) { return made.as_strided({s.B, s.heads, s.N, d}, {s.N * width, d, width, 1}, part * s.D); };
    if (qkv.size() == 2) return {head_view(0), head_view(1), head_view(2)};
    parts[i / 2] = head_view(0);
  }
  return parts;
}

Tensor on_cpu(const Tensor& x_in, at::TensorList norms, at::TensorList qkv, at::TensorList layers, at::TensorList scales, int64_t heads, double eps, bool by_tanh, std::optional<at::ScalarType> dtype) {
  TORCH_CHECK(x_in.dim() == 3 && x_in.is_cpu() && x_in.scalar_type() == at::kFloat, "vit_block: expected x [B, N, D] in float32 on the CPU");
  TORCH_CHECK(norms.size() == 4 && layers.size() == 6 && (scales.empty() || scales.size() == 2), "vit_block: expected two norms, three layers and two scales or none");
  const int64_t B = x_in.size(0), N = x_in.size(1), D = x_in.size(2);
  TORCH_CHECK(heads > 0 && D % heads == 0, "vit_block: expected a width divisible by ", heads, " heads, received ", D);
  const auto inside = dtype.value_or(at::kFloat);
  TORCH_CHECK(inside == at::kFloat || inside == at::kBFloat16, "vit_block: expected products in float32 or bfloat16");
  const Block s{B, N, D, heads, B * N, eps, inside, inside == at::kFloat ? Kind::kFloat : Kind::kMixed};
  const auto& table = kernels::table();
  const Tensor x = x_in.contiguous();
  const auto scale = [&](size_t i) { return scales.empty() ? std::nullopt : std::optional<Tensor>(scales[i]); };
  if (s.rows == 0) return x.clone();

  // All of it lives until the end: the C library's heap cannot give an aligned block its own hole back, so holes made on the way add up.
  Tensor y = at::empty({B, N, D}, x.options()), normed[2];

  // ── attention ─────────────────────────────────────────
  auto first = norm_of(s, norms[0], norms[1], normed[0]);
  first.x = x.const_data_ptr<float>();
  over_rows(s.rows, [&](int64_t a, int64_t b) { table.layer_norm(s.kind, first, a, b); });
  const auto [q, k, v] = heads_of(s, normed[0], qkv);
  const Tensor attended = std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(q, k, v));
  const Tensor joined = attended.transpose(1, 2).reshape({s.rows, D}), projected = product(s, joined, layers[0]);
  const auto second = norm_of(s, norms[2], norms[3], normed[1]);
  residual(s, x, projected, layers[1], scale(0), y, second);

  // ── feed-forward ──────────────────────────────────────
  const Tensor hidden = product(s, normed[1], layers[2]);
  auto glue = with_bias(hidden, layers[3]);
  glue.by_tanh = by_tanh;
  over_rows(s.rows, [&](int64_t a, int64_t b) { table.bias_gelu(s.kind, glue, a, b); });
  const Tensor fed = product(s, hidden, layers[4]);
  residual(s, y, fed, layers[5], scale(1), y, {});
  return y;
}

/** Gradients would be lost without a word. */
void check_unrecorded() {
  TORCH_CHECK(!c10::GradMode::is_enabled(), "vit_block: expected no gradients to be recorded (noGrad), for which it has no backward");
}

Tensor cast(const Tensor& x, at::TensorList norms, at::TensorList qkv, at::TensorList layers, at::TensorList scales, int64_t heads, double eps, bool by_tanh, std::optional<at::ScalarType>) {
  check_unrecorded();
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  at::AutoDispatchBelowADInplaceOrView guard;
  return on_cpu(x, norms, qkv, layers, scales, heads, eps, by_tanh, at::autocast::get_autocast_dtype(at::kCPU));
}

Tensor unrecorded(const Tensor& x, at::TensorList norms, at::TensorList qkv, at::TensorList layers, at::TensorList scales, int64_t heads, double eps, bool by_tanh, std::optional<at::ScalarType> dtype) {
  check_unrecorded();
  at::AutoDispatchBelowADInplaceOrView guard;
  return on_cpu(x, norms, qkv, layers, scales, heads, eps, by_tanh, dtype);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rae, m) {
  m.def("vit_block(Tensor x, Tensor[] norms, Tensor[] qkv, Tensor[] layers, Tensor[] scales, int heads, float eps, bool by_tanh, ScalarType? dtype=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(rae, CPU, m) { m.impl("vit_block", on_cpu); }
TORCH_LIBRARY_IMPL(rae, AutogradCPU, m) { m.impl("vit_block", unrecorded); }
TORCH_LIBRARY_IMPL(rae, AutocastCPU, m) { m.impl("vit_block", cast); }

}  // namespace rae
