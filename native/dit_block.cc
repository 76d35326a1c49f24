// rae::dit_block: a transformer block with adaptive modulation (DiT) as one operator with its own backward. Matrix products and
// attention are libtorch's; all between them is native/kernels: fewer passes over the tokens, no gradients that are cut and joined
// again, one call. Keys: CPU computes, Autograd records, AutocastCPU sets the dtype inside.
//   [shift1, scale1, gate1, shift2, scale2, gate2] = linear(condition)
//   y = x + gate1 * attention(modulate(rms(x)));  out = y + gate2 * swiglu(modulate(rms(y)))
#include "kernels/kernels.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rae {

namespace {

using at::Tensor;
using kernels::Kind;

// Order of the weights, and of the chunks of the modulation.
enum Weight { kNorm1, kQkv, kQkvBias, kProj, kProjBias, kNorm2, kW12, kW12Bias, kW3, kW3Bias, kAda, kAdaBias, kWeights };
enum Chunk { kShift1, kScale1, kGate1, kShift2, kScale2, kGate2, kChunks };

/** At most so many tokens of bfloat16 attend in float32: libtorch's bfloat16 kernel is slow on short sequences (src/nn/attention.ts). */
constexpr int64_t kShort = 128;

/** What backward needs; its order is that of save_for_backward. */
struct Saved {
  Tensor x, condition, modulation, in1, inverse1, qkv, attended, logsumexp, joined, projected, y, in2, inverse2, hidden, gated, fed;
  Tensor inside[kWeights];  // matrices in the dtype of the products: cast once, used forward and backward
  template <typename F>
  void each(F f) {
    for (Tensor* t : {&x, &condition, &modulation, &in1, &inverse1, &qkv, &attended, &logsumexp, &joined, &projected, &y, &in2, &inverse2, &hidden, &gated, &fed}) f(*t);
    for (const Weight w : {kQkv, kProj, kW12, kW3, kAda}) f(inside[w]);
  }
};

struct Shape {
  int64_t B, N, D, heads, hidden, rows;
  bool per_token;
  double eps;
  at::ScalarType inside;
  Kind kind;

  kernels::Rows modulated() const { return {B, N, D, kChunks * D, per_token}; }
  int64_t blocks() const { return B * kernels::blocks_of(N); }
  bool half() const { return inside == at::kBFloat16; }
  /** What q, k and v attend in. */
  at::ScalarType attends() const { return half() && N > kShort ? at::kBFloat16 : at::kFloat; }
};

Shape shape_of(const Tensor& x, const Tensor& condition, at::TensorList weights, int64_t heads, double eps, at::ScalarType inside) {
  TORCH_CHECK(x.dim() == 3 && condition.dim() == 3 && weights.size() == kWeights, "dit_block: expected x [B, N, D], condition [B, 1 or N, D] and ", int(kWeights), " weights");
  const int64_t B = x.size(0), N = x.size(1), D = x.size(2);
  TORCH_CHECK(condition.size(0) == B && (condition.size(1) == 1 || condition.size(1) == N), "dit_block: expected a condition of 1 or ", N, " rows for each of ", B, ", received ", condition.sizes());
  TORCH_CHECK(heads > 0 && D % heads == 0, "dit_block: expected a width divisible by ", heads, " heads, received ", D);
  const int64_t hidden = weights[kW3].size(1), C = condition.size(2);
  const std::vector<int64_t> wanted[kWeights] = {{D}, {3 * D, D}, {3 * D}, {D, D}, {D}, {D}, {2 * hidden, D}, {2 * hidden}, {D, hidden}, {D}, {kChunks * D, C}, {kChunks * D}};
  for (int i = 0; i < kWeights; i++) {
    TORCH_CHECK(weights[i].sizes() == at::IntArrayRef(wanted[i]), "dit_block: expected weight ", i, " of ", wanted[i], ", received ", weights[i].sizes());
    const bool matrix = weights[i].dim() == 2;
    TORCH_CHECK(weights[i].is_cpu() && (weights[i].scalar_type() == at::kFloat || (matrix && weights[i].scalar_type() == inside)), "dit_block: expected float32 weights on the CPU, or matrices in the dtype of the products");
  }
  const auto outside = x.scalar_type();
  TORCH_CHECK(x.is_cpu() && (outside == at::kFloat || (outside == at::kBFloat16 && inside == at::kBFloat16)), "dit_block: expected x in float32, or in bfloat16 under autocast");
  const Kind kind = inside == at::kFloat ? Kind::kFloat : outside == at::kFloat ? Kind::kMixed : Kind::kHalf;
  const bool per_token = condition.size(1) == N && N > 1;
  return {B, N, D, heads, hidden, B * N, per_token, eps, inside, kind};
}

template <typename F>
void in_blocks(int64_t blocks, F f) {
  at::parallel_for(0, blocks, 1, f);
}

const float* floats(const Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }

float* mutable_floats(const Tensor& t) { return t.data_ptr<float>(); }

const void* chunk(const Tensor& modulation, Chunk which, int64_t width) {
  return static_cast<const char*>(modulation.const_data_ptr()) + which * width * modulation.element_size();
}

void* chunk(Tensor& modulation, Chunk which, int64_t width) {
  return static_cast<char*>(modulation.data_ptr()) + which * width * modulation.element_size();
}

/** x W^T. The bias is left to the kernel that comes next: libtorch's product with one copies it over the result first. */
Tensor product(const Tensor& x, const Tensor& weight) { return at::mm(x, weight.t()); }

/** [rows, 3 D] seen as q, k or v: [B, H, N, d]. */
Tensor head_view(const Shape& s, const Tensor& qkv, int64_t part) {
  const int64_t d = s.D / s.heads;
  return qkv.as_strided({s.B, s.heads, s.N, d}, {s.N * 3 * s.D, d, 3 * s.D, 1}, qkv.storage_offset() + part * s.D);
}

/** The angles of each token as the kernel takes them: rows of d, or of D where d is no multiple of its sixteen lanes. */
struct Angles {
  Tensor cosine, sine;
  int64_t period = 0;
};

Angles angles_of(const Shape& s, const std::optional<Tensor>& cosine, const std::optional<Tensor>& sine) {
  if (!cosine) return {Tensor(), Tensor(), s.D};
  const int64_t d = s.D / s.heads;
  TORCH_CHECK(sine && cosine->sizes() == at::IntArrayRef({s.N, d}) && sine->sizes() == cosine->sizes() && d % 2 == 0, "dit_block: expected tables of angles [", s.N, ", ", d, "], received ", cosine->sizes());
  TORCH_CHECK(cosine->scalar_type() == at::kFloat && sine->scalar_type() == at::kFloat, "dit_block: expected angles in float32");
  if (d % 16 == 0) return {cosine->contiguous(), sine->contiguous(), d};
  return {cosine->repeat({1, s.heads}), sine->repeat({1, s.heads}), s.D};
}

kernels::Rotary rotary(const Shape& s, const Angles& angles) {
  kernels::Rotary p{};
  p.pictures = s.B, p.tokens = s.N, p.width = s.D, p.period = angles.period;
  p.cosine = floats(angles.cosine), p.sine = floats(angles.sine);
  p.in_half = s.half(), p.out_half = s.attends() == at::kBFloat16;
  return p;
}

Tensor forward(const Shape& s, const Tensor& x_in, const Tensor& condition, const Angles& angles, at::TensorList w, Saved& k) {
  const auto& table = kernels::table();
  const auto inside = x_in.options().dtype(s.inside);
  const auto exact = x_in.options().dtype(at::kFloat);
  k.x = x_in.contiguous();
  k.condition = condition.to(s.inside).reshape({-1, condition.size(2)}).contiguous();
  for (const Weight m : {kQkv, kProj, kW12, kW3, kAda}) k.inside[m] = w[m].to(s.inside);
  k.modulation = at::linear(k.condition, k.inside[kAda], w[kAdaBias].to(s.inside));

  const Tensor norm1 = w[kNorm1].contiguous(), norm2 = w[kNorm2].contiguous();
  const auto modulate = [&](const Tensor& x, const Tensor& weight, Chunk shift, Chunk scale, Tensor& inverse, Tensor& out) {
    inverse = at::empty({s.rows}, exact);
    out = at::empty({s.rows, s.D}, inside);
    kernels::NormForward p{};
    p.rows = s.modulated(), p.eps = static_cast<float>(s.eps);
    p.x = x.const_data_ptr(), p.weight = floats(weight);
    p.scale = chunk(k.modulation, scale, s.D), p.shift = chunk(k.modulation, shift, s.D);
    p.inverse = mutable_floats(inverse), p.out = out.data_ptr();
    return p;
  };
  const auto gated = [&](kernels::NormForward& p, const Tensor& x, const Tensor& branch, const Tensor& bias, Chunk gate, Tensor& y) {
    p.rows = s.modulated();
    p.x = x.const_data_ptr(), p.branch = branch.const_data_ptr(), p.bias = floats(bias);
    p.gate = chunk(k.modulation, gate, s.D), p.y = y.data_ptr();
  };
  const auto run_norm = [&](const kernels::NormForward& p) { in_blocks(s.blocks(), [&](int64_t a, int64_t b) { table.norm_forward(s.kind, p, a, b); }); };

  run_norm(modulate(k.x, norm1, kShift1, kScale1, k.inverse1, k.in1));

  // ── attention ─────────────────────────────────────────
  const Tensor projection = product(k.in1, k.inside[kQkv]), qkv_bias = w[kQkvBias].contiguous();
  k.qkv = s.attends() == s.inside ? projection : at::empty({s.rows, 3 * s.D}, exact);
  auto turn = rotary(s, angles);
  turn.in = projection.const_data_ptr(), turn.bias = floats(qkv_bias), turn.out = k.qkv.data_ptr();
  in_blocks(s.blocks(), [&](int64_t a, int64_t b) { table.rotary_forward(turn, a, b); });
  std::tie(k.attended, k.logsumexp) = at::_scaled_dot_product_flash_attention_for_cpu(head_view(s, k.qkv, 0), head_view(s, k.qkv, 1), head_view(s, k.qkv, 2));
  k.joined = k.attended.transpose(1, 2).to(s.inside).reshape({s.rows, s.D});
  k.projected = product(k.joined, k.inside[kProj]);

  // ── feed-forward ──────────────────────────────────────
  k.y = at::empty_like(k.x);
  const Tensor proj_bias = w[kProjBias].contiguous();
  auto middle = modulate(k.y, norm2, kShift2, kScale2, k.inverse2, k.in2);
  gated(middle, k.x, k.projected, proj_bias, kGate1, k.y);
  run_norm(middle);
  k.hidden = product(k.in2, k.inside[kW12]);
  k.gated = at::empty({s.rows, s.hidden}, inside);
  const Tensor w12_bias = w[kW12Bias].contiguous();
  kernels::Swiglu glu{};
  glu.rows = s.rows, glu.width = s.hidden, glu.in = k.hidden.const_data_ptr(), glu.bias = floats(w12_bias), glu.out = k.gated.data_ptr();
  in_blocks(kernels::blocks_of(s.rows), [&](int64_t a, int64_t b) { table.swiglu_forward(s.kind, glu, a, b); });
  k.fed = product(k.gated, k.inside[kW3]);
  Tensor out = at::empty_like(k.x);
  const Tensor w3_bias = w[kW3Bias].contiguous();
  kernels::NormForward last{};
  gated(last, k.y, k.fed, w3_bias, kGate2, out);
  run_norm(last);
  return out;
}

/** Gradients by the order of the operator's inputs: x, condition, weights. Undefined where nobody asks. */
struct Gradients {
  Tensor x, condition, weights[kWeights];
};

template <typename Needs>
Gradients backward(const Shape& s, const Tensor& grad_in, const Angles& angles, at::TensorList w, Saved& k, at::ScalarType condition_dtype, Needs needs) {
  const auto& table = kernels::table();
  const auto inside = k.modulation.options();
  const auto exact = inside.dtype(at::kFloat);
  Gradients g;
  Tensor grad_modulation = at::empty_like(k.modulation);
  const auto vector = [&](int64_t n) { return at::empty({n}, exact); };

  // The weight's gradient from those of its output and its input, and the input's.
  const auto weight_grad = [&](Weight which, const Tensor& grad, const Tensor& input) {
    if (needs(which)) g.weights[which] = at::mm(grad.t(), input).to(w[which].scalar_type());
  };
  const auto input_grad = [&](Weight which, const Tensor& grad) { return at::mm(grad, k.inside[which]); };

  const auto run_norm = [&](kernels::NormBackward p, Weight weight, Weight bias) {
    Tensor sums = at::empty({s.blocks(), kernels::kSums * s.D}, exact);
    p.rows = s.modulated(), p.sums = mutable_floats(sums);
    if (p.grad_out != nullptr) p.grad_weight = mutable_floats(g.weights[weight] = vector(s.D));
    if (p.branch != nullptr) p.grad_bias = mutable_floats(g.weights[bias] = vector(s.D));
    in_blocks(s.blocks(), [&](int64_t a, int64_t b) { table.norm_backward(s.kind, p, a, b); });
    table.norm_reduce(s.kind, p);
  };
  const auto through_gate = [&](kernels::NormBackward& p, const Tensor& branch, const Tensor& bias, Chunk gate, Tensor& grad_branch) {
    p.branch = branch.const_data_ptr(), p.bias = floats(bias), p.gate = chunk(k.modulation, gate, s.D);
    p.grad_branch = grad_branch.data_ptr(), p.grad_gate = chunk(grad_modulation, gate, s.D);
  };
  const auto through_norm = [&](kernels::NormBackward& p, const Tensor& grad_out, const Tensor& y, const Tensor& inverse, const Tensor& weight, Chunk shift, Chunk scale, Tensor& grad_y) {
    p.grad_out = grad_out.const_data_ptr(), p.y = y.const_data_ptr(), p.inverse = floats(inverse), p.weight = floats(weight);
    p.scale = chunk(k.modulation, scale, s.D), p.grad_y = grad_y.data_ptr();
    p.grad_scale = chunk(grad_modulation, scale, s.D), p.grad_shift = chunk(grad_modulation, shift, s.D);
  };

  // ── feed-forward ──────────────────────────────────────
  const Tensor grad = grad_in.contiguous();
  Tensor grad_fed = at::empty_like(k.fed);
  {
    const Tensor bias = w[kW3Bias].contiguous();
    kernels::NormBackward p{};
    p.grad = grad.const_data_ptr();
    through_gate(p, k.fed, bias, kGate2, grad_fed);
    run_norm(p, kWeights, kW3Bias);
  }
  weight_grad(kW3, grad_fed, k.gated);
  const Tensor grad_gated = input_grad(kW3, grad_fed);
  Tensor grad_hidden = at::empty_like(k.hidden);
  {
    const Tensor bias = w[kW12Bias].contiguous();
    const int64_t blocks = kernels::blocks_of(s.rows);
    Tensor sums = at::empty({blocks, 2 * s.hidden}, exact);
    kernels::Swiglu p{};
    p.rows = s.rows, p.width = s.hidden, p.in = k.hidden.const_data_ptr(), p.bias = floats(bias);
    p.grad_out = grad_gated.const_data_ptr(), p.grad_in = grad_hidden.data_ptr(), p.sums = mutable_floats(sums);
    in_blocks(blocks, [&](int64_t a, int64_t b) { table.swiglu_backward(s.kind, p, a, b); });
    table.add_up({blocks, 2 * s.hidden, floats(sums), mutable_floats(g.weights[kW12Bias] = vector(2 * s.hidden))});
  }
  weight_grad(kW12, grad_hidden, k.in2);
  const Tensor grad_in2 = input_grad(kW12, grad_hidden);
  Tensor grad_y = at::empty_like(k.y), grad_projected = at::empty_like(k.projected);
  {
    const Tensor bias = w[kProjBias].contiguous(), weight = w[kNorm2].contiguous();
    kernels::NormBackward p{};
    p.grad = grad.const_data_ptr();
    through_norm(p, grad_in2, k.y, k.inverse2, weight, kShift2, kScale2, grad_y);
    through_gate(p, k.projected, bias, kGate1, grad_projected);
    run_norm(p, kNorm2, kProjBias);
  }

  // ── attention ─────────────────────────────────────────
  weight_grad(kProj, grad_projected, k.joined);
  const Tensor grad_joined = input_grad(kProj, grad_projected);
  const int64_t d = s.D / s.heads;
  const Tensor grad_attended = grad_joined.to(s.attends()).view({s.B, s.N, s.heads, d}).transpose(1, 2);
  auto [grad_q, grad_k, grad_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(grad_attended, head_view(s, k.qkv, 0), head_view(s, k.qkv, 1), head_view(s, k.qkv, 2), k.attended, k.logsumexp, 0.0, false);
  Tensor grad_qkv = at::empty({s.rows, 3 * s.D}, inside);
  {
    Tensor sums = at::empty({s.blocks(), 3 * s.D}, exact);
    auto p = rotary(s, angles);
    const Tensor q = grad_q.transpose(1, 2).contiguous(), key = grad_k.transpose(1, 2).contiguous(), v = grad_v.transpose(1, 2).contiguous();
    p.grad_q = q.const_data_ptr(), p.grad_k = key.const_data_ptr(), p.grad_v = v.const_data_ptr();
    p.stride_b = s.N * s.D, p.stride_n = s.D;
    p.grad_in = grad_qkv.data_ptr(), p.sums = mutable_floats(sums);
    in_blocks(s.blocks(), [&](int64_t a, int64_t b) { table.rotary_backward(p, a, b); });
    table.add_up({s.blocks(), 3 * s.D, floats(sums), mutable_floats(g.weights[kQkvBias] = vector(3 * s.D))});
  }
  weight_grad(kQkv, grad_qkv, k.in1);
  const Tensor grad_in1 = input_grad(kQkv, grad_qkv);
  g.x = at::empty_like(k.x);
  {
    const Tensor weight = w[kNorm1].contiguous();
    kernels::NormBackward p{};
    p.grad = grad_y.const_data_ptr();
    through_norm(p, grad_in1, k.x, k.inverse1, weight, kShift1, kScale1, g.x);
    run_norm(p, kNorm1, kWeights);
  }

  // ── modulation ────────────────────────────────────────
  weight_grad(kAda, grad_modulation, k.condition);
  g.weights[kAdaBias] = grad_modulation.sum(0, false, at::kFloat);
  g.condition = input_grad(kAda, grad_modulation).view({s.B, -1, k.condition.size(1)}).to(condition_dtype);
  return g;
}

class DitBlock : public torch::autograd::Function<DitBlock> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& condition, const std::optional<Tensor>& cosine, const std::optional<Tensor>& sine,
                        at::TensorList weights, int64_t heads, double eps, at::ScalarType inside) {
    at::AutoDispatchBelowADInplaceOrView guard;
    Saved saved;
    const Shape s = shape_of(x, condition, weights, heads, eps, inside);
    const Tensor out = rae::forward(s, x, condition, angles_of(s, cosine, sine), weights, saved);
    torch::autograd::variable_list keep(weights.begin(), weights.end());
    saved.each([&](Tensor& t) { keep.push_back(t); });
    keep.push_back(cosine.value_or(Tensor()));
    keep.push_back(sine.value_or(Tensor()));
    ctx->save_for_backward(std::move(keep));
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["inside"] = static_cast<int64_t>(inside);
    ctx->saved_data["condition"] = static_cast<int64_t>(condition.scalar_type());
    ctx->saved_data["per_token"] = condition.size(1) != 1;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, const torch::autograd::variable_list& grads) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "dit_block: expected no second derivative (createGraph), which it does not have. Set RAE_FUSED=0.");
    at::AutoDispatchBelowADInplaceOrView guard;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    auto kept = ctx->get_saved_variables();
    const at::TensorList weights(kept.data(), kWeights);
    Saved saved;
    size_t at = kWeights;
    saved.each([&](Tensor& t) { t = kept[at++]; });
    const auto maybe = [](const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; };
    const auto cosine = maybe(kept[at]), sine = maybe(kept[at + 1]);
    const auto inside = static_cast<at::ScalarType>(ctx->saved_data["inside"].toInt());
    const int64_t B = saved.x.size(0);
    const Tensor condition = saved.condition.view({B, -1, saved.condition.size(1)});
    const Shape s = shape_of(saved.x, condition, weights, ctx->saved_data["heads"].toInt(), ctx->saved_data["eps"].toDouble(), inside);
    // Edges are numbered by the tensors given: x, condition, the tables if any, the weights.
    const size_t first = 2 + (cosine ? 2 : 0);
    auto g = rae::backward(s, grads[0], angles_of(s, cosine, sine), weights, saved, static_cast<at::ScalarType>(ctx->saved_data["condition"].toInt()),
                           [&](Weight which) { return ctx->needs_input_grad(first + which); });
    torch::autograd::variable_list out{g.x, g.condition, Tensor(), Tensor()};
    for (Tensor& t : g.weights) out.push_back(t);
    out.insert(out.end(), 3, Tensor());
    return out;
  }
};

at::ScalarType inside_of(std::optional<at::ScalarType> dtype) { return dtype.value_or(at::kFloat); }

Tensor on_cpu(const Tensor& x, const Tensor& condition, const std::optional<Tensor>& cosine, const std::optional<Tensor>& sine, at::TensorList weights, int64_t heads, double eps, std::optional<at::ScalarType> dtype) {
  Saved saved;
  const Shape s = shape_of(x, condition, weights, heads, eps, inside_of(dtype));
  return forward(s, x, condition, angles_of(s, cosine, sine), weights, saved);
}

Tensor recorded(const Tensor& x, const Tensor& condition, const std::optional<Tensor>& cosine, const std::optional<Tensor>& sine, at::TensorList weights, int64_t heads, double eps, std::optional<at::ScalarType> dtype) {
  if (c10::GradMode::is_enabled()) return DitBlock::apply(x, condition, cosine, sine, weights, heads, eps, inside_of(dtype));
  at::AutoDispatchBelowADInplaceOrView guard;
  return on_cpu(x, condition, cosine, sine, weights, heads, eps, dtype);
}

Tensor cast(const Tensor& x, const Tensor& condition, const std::optional<Tensor>& cosine, const std::optional<Tensor>& sine, at::TensorList weights, int64_t heads, double eps, std::optional<at::ScalarType>) {
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return recorded(x, condition, cosine, sine, weights, heads, eps, at::autocast::get_autocast_dtype(at::kCPU));
}

}  // namespace

TORCH_LIBRARY(rae, m) {
  m.def("dit_block(Tensor x, Tensor condition, Tensor? cosine, Tensor? sine, Tensor[] weights, int heads, float eps, ScalarType? dtype=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(rae, CPU, m) { m.impl("dit_block", on_cpu); }
TORCH_LIBRARY_IMPL(rae, AutogradCPU, m) { m.impl("dit_block", recorded); }
TORCH_LIBRARY_IMPL(rae, AutocastCPU, m) { m.impl("dit_block", cast); }

}  // namespace rae
