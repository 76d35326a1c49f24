// The boxed call: any dispatcher operator by its schema, without a line of C++ per operator.
#pragma once

#include <node_api.h>

namespace rae {
void register_call(napi_env env, napi_value exports);
}
