// Threads, memory, signals and versions.
#pragma once

#include <node_api.h>

namespace rae {
void register_system(napi_env env, napi_value exports);
}
