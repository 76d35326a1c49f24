// Data in and out of tensors, and their shapes and dtypes.
#pragma once

#include <node_api.h>

namespace rae {
void register_tensor_data(napi_env env, napi_value exports);
}
