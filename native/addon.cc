// The addon's entry. It may be loaded in a process's main thread only: static destructors of libtorch crash in workers.
#include "autograd.h"
#include "call.h"
#include "napi_util.h"
#include "random.h"
#include "resample.h"
#include "system.h"
#include "tensor_data.h"

NAPI_MODULE_INIT() {
  static bool loaded = false;
  if (loaded) {
    napi_throw_error(env, "ERR_ENGINE", "the engine is already loaded in this process and cannot be loaded in a second thread. Use a child process.");
    return nullptr;
  }
  loaded = true;
  rae::add_function(env, exports, "setErrorClasses", rae::set_error_classes);
  rae::register_call(env, exports);
  rae::register_tensor_data(env, exports);
  rae::register_autograd(env, exports);
  rae::register_random(env, exports);
  rae::register_system(env, exports);
  rae::register_resample(env, exports);
  return exports;
}
