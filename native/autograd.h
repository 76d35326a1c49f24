// Gradients, gradient mode, autocast and the attention back ends.
#pragma once

#include <node_api.h>

namespace rae {
void register_autograd(napi_env env, napi_value exports);
}
