// Generators: make, seed, read and restore their state (bit-exact resume depends on it).
#include "random.h"

#include "napi_util.h"
#include "slots.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <unordered_map>

namespace rae {

namespace {
std::unordered_map<int32_t, at::Generator>& table() {
  static auto* t = new std::unordered_map<int32_t, at::Generator>();
  return *t;
}
int32_t g_next = 1;
}  // namespace

at::Generator generator_of(int32_t id) {
  if (id == 0) return at::detail::getDefaultCPUGenerator();
  const auto it = table().find(id);
  if (it == table().end()) throw DisposedError("expected a live Generator, received one that was disposed.");
  return it->second;
}

namespace {
napi_value generator_new(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const auto seed = static_cast<uint64_t>(to_int(env, args[0], "seed"));
  const c10::Device device = to_device(env, args[1], "device");
  at::Generator g = device.is_cpu() ? at::detail::createCPUGenerator(seed) : at::globalContext().defaultGenerator(device).clone();
  if (!device.is_cpu()) g.set_current_seed(seed);
  table().emplace(g_next, std::move(g));
  return js_int(env, g_next++);
  RAE_CATCH("Generator")
}

napi_value generator_seed(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  auto g = generator_of(to_handle(env, args[0], "generator"));
  std::lock_guard<std::mutex> lock(g.mutex());
  g.set_current_seed(static_cast<uint64_t>(to_int(env, args[1], "seed")));
  return undefined(env);
  RAE_CATCH("Generator.seed")
}

napi_value generator_get_state(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  auto g = generator_of(to_handle(env, args[0], "generator"));
  std::lock_guard<std::mutex> lock(g.mutex());
  return js_int(env, put(g.get_state()));
  RAE_CATCH("Generator.getState")
}

napi_value generator_set_state(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  auto g = generator_of(to_handle(env, args[0], "generator"));
  const at::Tensor& state = get(to_handle(env, args[1], "state"));
  std::lock_guard<std::mutex> lock(g.mutex());
  try {
    g.set_state(state);
  } catch (const c10::Error& e) {
    throw ArgumentError("expected bytes that getState() gave, received " + describe(state) + " (" + e.what_without_backtrace() + ").");
  }
  return undefined(env);
  RAE_CATCH("Generator.setState")
}

napi_value generator_free(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  table().erase(to_handle(env, args[0], "generator"));
  return undefined(env);
  RAE_CATCH("Generator.dispose")
}

napi_value manual_seed(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  at::globalContext().defaultGenerator(at::kCPU);
  at::manual_seed(static_cast<uint64_t>(to_int(env, args[0], "seed")));
  return undefined(env);
  RAE_CATCH("manualSeed")
}
}  // namespace

void register_random(napi_env env, napi_value exports) {
  add_function(env, exports, "generatorNew", generator_new);
  add_function(env, exports, "generatorSeed", generator_seed);
  add_function(env, exports, "generatorGetState", generator_get_state);
  add_function(env, exports, "generatorSetState", generator_set_state);
  add_function(env, exports, "generatorFree", generator_free);
  add_function(env, exports, "manualSeed", manual_seed);
}

}  // namespace rae
