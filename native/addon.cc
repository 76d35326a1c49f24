// The addon's entry. It may be loaded in a process's main thread only: static destructors of libtorch crash in workers.
#include "autograd.h"
#include "call.h"
#include "napi_util.h"
#include "random.h"
#include "resample.h"
#include "system.h"
#include "tensor_data.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <pthread.h>
#endif

namespace {
bool is_main_thread() {
#if defined(__linux__)
  return syscall(SYS_gettid) == getpid();
#elif defined(__APPLE__)
  return pthread_main_np() != 0;
#else
  return true;
#endif
}
}  // namespace

NAPI_MODULE_INIT() {
  static bool loaded = false;
  if (loaded || !is_main_thread()) {
    napi_throw_error(env, "ERR_ENGINE", "engine: expected the process's main thread and one load, received a worker thread or a second load. Use a child process.");
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
