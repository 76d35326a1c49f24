// Random number generators by number: 0 is libtorch's default CPU generator, others are made by generatorNew.
#pragma once

#include <ATen/core/Generator.h>
#include <node_api.h>

namespace rae {
at::Generator generator_of(int32_t id);
void register_random(napi_env env, napi_value exports);
}  // namespace rae
