// rae::adamw_: one update of all parameters, with clipping and the moving average in the same pass over memory; rae::grad_norm: the
// global norm in one pass. float32 on the CPU. The work is cut into pieces of fixed size, so no result depends on threads.
#include "kernels/kernels.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/library.h>

#include <cmath>

namespace rae {

namespace {

using at::Tensor;

constexpr int64_t kPiece = 1 << 14;  // 64 KiB of each tensor: five of them stay in a core's cache

/** Elements `begin` to `end` of tensor `index`. */
struct Piece {
  size_t index;
  int64_t begin, end;
};

std::vector<Piece> pieces_of(at::TensorList tensors) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors.size(); i++) {
    const int64_t n = tensors[i].numel();
    for (int64_t at = 0; at < n; at += kPiece) pieces.push_back({i, at, std::min(at + kPiece, n)});
  }
  return pieces;
}

void check(const Tensor& t, const char* what) {
  TORCH_CHECK(t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous(), "expected ", what, " in float32, contiguous, on the CPU");
}

Tensor grad_norm(at::TensorList grads) {
  std::vector<Tensor> rows;
  for (const Tensor& g : grads) {
    rows.push_back(g.contiguous());
    check(rows.back(), "gradients");
  }
  const auto pieces = pieces_of(rows);
  std::vector<double> sums(pieces.size());
  const auto& table = kernels::table();
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 4, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
      const auto& [index, begin, end] = pieces[i];
      sums[i] = table.squares(rows[index].const_data_ptr<float>() + begin, end - begin);
    }
  });
  double total = 0;
  for (const double s : sums) total += s;
  return at::scalar_tensor(std::sqrt(total), at::kFloat);
}

void adamw(at::TensorList params, at::TensorList grads, at::TensorList first, at::TensorList second, at::TensorList steps, at::TensorList averages,
           double lr, double beta1, double beta2, double weight_decay, double eps, double scale, double decay) {
  const size_t n = params.size();
  TORCH_CHECK(grads.size() == n && first.size() == n && second.size() == n && steps.size() == n && (averages.empty() || averages.size() == n),
              "expected as many gradients, moments, steps and averages as parameters");
  std::vector<kernels::Adamw> work(n);
  std::vector<Tensor> rows(n);
  const auto writable = [&](const Tensor& t, const char* what, const Tensor& like) {
    check(t, what);
    TORCH_CHECK(t.sizes() == like.sizes(), "expected ", what, " of the parameter's shape ", like.sizes(), ", received ", t.sizes());
    return t.data_ptr<float>();
  };
  for (size_t i = 0; i < n; i++) {
    const Tensor& p = params[i];
    TORCH_CHECK(grads[i].sizes() == p.sizes() && steps[i].numel() == 1, "expected a gradient of the parameter's shape and one step count");
    rows[i] = grads[i].contiguous();
    check(rows[i], "gradients");
    check(steps[i], "step counts");
    auto& w = work[i];
    w.param = writable(p, "parameters", p), w.grad = rows[i].const_data_ptr<float>();
    w.first = writable(first[i], "moments", p), w.second = writable(second[i], "moments", p);
    w.average = averages.empty() ? nullptr : writable(averages[i], "averages", p);
  }
  for (size_t i = 0; i < n; i++) {  // nothing was written until all of it was found right
    const double step = *steps[i].data_ptr<float>() += 1;
    auto& w = work[i];
    w.scale = static_cast<float>(scale), w.keep = static_cast<float>(1 - lr * weight_decay);
    w.first_share = static_cast<float>(1 - beta1), w.second_share = static_cast<float>(1 - beta2), w.eps = static_cast<float>(eps);
    w.rate = static_cast<float>(lr / (1 - std::pow(beta1, step)));
    w.correction = static_cast<float>(std::sqrt(1 - std::pow(beta2, step)));
    w.weight = static_cast<float>(1 - decay);
  }
  const auto pieces = pieces_of(params);
  const auto& table = kernels::table();
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 2, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) table.adamw(work[pieces[i].index], pieces[i].begin, pieces[i].end);
  });
  // Autograd is told that these were written to.
  for (const auto list : {params, first, second, steps, averages})
    for (const Tensor& t : list) t.unsafeGetTensorImpl()->bump_version();
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rae, m) {
  m.def("grad_norm(Tensor[] grads) -> Tensor");
  m.def(
      "adamw_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] first, Tensor(c!)[] second, Tensor(d!)[] steps, Tensor(e!)[] averages, float lr, float beta1, "
      "float beta2, float weight_decay, float eps, float scale, float decay) -> ()");
}
TORCH_LIBRARY_IMPL(rae, CompositeExplicitAutograd, m) {
  m.impl("grad_norm", grad_norm);
  m.impl("adamw_", adamw);
}

}  // namespace rae
