// Autograd: backward and grad through torch::autograd, the thread's gradient mode, autocast state, SDPA switches.
#include "autograd.h"

#include "mapped_file.h"
#include "napi_util.h"
#include "slots.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

namespace rae {

namespace {

torch::autograd::variable_list tensors(napi_env env, napi_value v, const char* name) {
  torch::autograd::variable_list out;
  for (const int64_t h : to_ints(env, v, name)) out.push_back(get(h == static_cast<int32_t>(h) ? static_cast<int32_t>(h) : 0));
  return out;
}

/** backward(outputs, gradients | undefined, retainGraph): accumulates into .grad of the leaves. */
napi_value backward(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<3> args(env, info);
  const auto outputs = tensors(env, args[0], "outputs");
  const auto gradients = is_nullish(env, args[1]) ? torch::autograd::variable_list{} : tensors(env, args[1], "gradients");
  torch::autograd::backward(outputs, gradients, to_bool(env, args[2], "retainGraph"), false);
  check_mapped_files();
  return undefined(env);
  RAE_CATCH("backward")
}

/** grad(outputs, inputs, gradOutputs | undefined, retainGraph, createGraph, allowUnused): handles, 0 for unused inputs. */
napi_value grad(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<6> args(env, info);
  const auto outputs = tensors(env, args[0], "outputs");
  const auto inputs = tensors(env, args[1], "inputs");
  const auto seeds = is_nullish(env, args[2]) ? torch::autograd::variable_list{} : tensors(env, args[2], "gradOutputs");
  const auto out = torch::autograd::grad(outputs, inputs, seeds, to_bool(env, args[3], "retainGraph"), to_bool(env, args[4], "createGraph"),
                                         to_bool(env, args[5], "allowUnused"));
  check_mapped_files();
  napi_value list;
  napi_create_array_with_length(env, out.size(), &list);
  for (size_t i = 0; i < out.size(); i++) napi_set_element(env, list, i, js_int(env, out[i].defined() ? put(out[i]) : 0));
  return list;
  RAE_CATCH("grad")
}

napi_value set_grad_enabled(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(to_bool(env, args[0], "enabled"));
  return js(env, before);
  RAE_CATCH("setGradEnabled")
}

napi_value requires_grad(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  return js(env, get(to_handle(env, args[0], "tensor")).requires_grad());
  RAE_CATCH("requiresGrad")
}

napi_value set_requires_grad(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const at::Tensor t = get(to_handle(env, args[0], "tensor"));
  const bool on = to_bool(env, args[1], "on");
  if (!t.is_leaf() && !on) throw ArgumentError("expected a leaf, received the result of an operation: its gradient cannot be switched off. Use detach().");
  t.set_requires_grad(on);
  return undefined(env);
  RAE_CATCH("setRequiresGrad")
}

napi_value is_leaf(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  return js(env, get(to_handle(env, args[0], "tensor")).is_leaf());
  RAE_CATCH("isLeaf")
}

/** gradOf(tensor): a new handle to .grad, or 0. */
napi_value grad_of(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const at::Tensor& g = get(to_handle(env, args[0], "tensor")).grad();
  return js_int(env, g.defined() ? put(g) : 0);
  RAE_CATCH("grad")
}

/** setGrad(tensor, gradient | undefined). */
napi_value set_grad(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const at::Tensor t = get(to_handle(env, args[0], "tensor"));
  const at::Tensor g = is_nullish(env, args[1]) ? at::Tensor() : get(to_handle(env, args[1], "gradient"));
  // Optimisers trust that a gradient has its tensor's size: anything else would be read beyond its end.
  if (g.defined() && (g.is_same(t) || g.sizes() != t.sizes() || g.scalar_type() != t.scalar_type() || g.device() != t.device()))
    throw ArgumentError("expected a gradient like its tensor, " + describe(t) + ", received " + (g.is_same(t) ? "the tensor itself" : describe(g)) + ".");
  t.mutable_grad() = g;
  return undefined(env);
  RAE_CATCH("setGrad")
}

/** setAutocast(device, dtype | -1 for off): returns what it was before. Leaving the outermost scope clears the cast cache. */
napi_value set_autocast(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const std::string name = to_string(env, args[0], "device");
  if (name != "cpu" && name != "cuda") refuse(env, args[0], "device", "'cpu' or 'cuda'");
  const auto device = name == "cpu" ? at::kCPU : at::kCUDA;
  const int64_t dtype = to_int(env, args[1], "dtype");
  const bool was_on = at::autocast::is_autocast_enabled(device);
  const auto before = was_on ? static_cast<int32_t>(at::autocast::get_autocast_dtype(device)) : -1;
  at::autocast::set_autocast_enabled(device, dtype >= 0);
  if (dtype >= 0) at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(dtype));
  return js_int(env, before);
  RAE_CATCH("autocast")
}

napi_value autocast_nesting(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  if (to_bool(env, args[0], "enter")) {
    at::autocast::increment_nesting();
  } else if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  return undefined(env);
  RAE_CATCH("autocast")
}

/** setAttentionBackends(flash, memoryEfficient, math, cudnn). */
napi_value set_attention_backends(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<4> args(env, info);
  auto& context = at::globalContext();
  context.setSDPUseFlash(to_bool(env, args[0], "flash"));
  context.setSDPUseMemEfficient(to_bool(env, args[1], "memoryEfficient"));
  context.setSDPUseMath(to_bool(env, args[2], "math"));
  context.setSDPUseCuDNN(to_bool(env, args[3], "cudnn"));
  return undefined(env);
  RAE_CATCH("setAttentionBackends")
}

}  // namespace

void register_autograd(napi_env env, napi_value exports) {
  // cuDNN attention is off by default: NaN gradients are reported for it.
  at::globalContext().setSDPUseCuDNN(false);
  add_function(env, exports, "backward", backward);
  add_function(env, exports, "grad", grad);
  add_function(env, exports, "setGradEnabled", set_grad_enabled);
  add_function(env, exports, "requiresGrad", requires_grad);
  add_function(env, exports, "setRequiresGrad", set_requires_grad);
  add_function(env, exports, "isLeaf", is_leaf);
  add_function(env, exports, "gradOf", grad_of);
  add_function(env, exports, "setGrad", set_grad);
  add_function(env, exports, "setAutocast", set_autocast);
  add_function(env, exports, "autocastNesting", autocast_nesting);
  add_function(env, exports, "setAttentionBackends", set_attention_backends);
}

}  // namespace rae
