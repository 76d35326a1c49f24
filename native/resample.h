// Resampling of 8-bit pictures for JavaScript: `resample` off the main thread, `resampleSync` on it.
#pragma once

#include <node_api.h>

namespace rae {
void register_resample(napi_env env, napi_value exports);
}
