// The process around the tensors: thread counts, allocator settings and figures, the interruption flag, versions.
#include "system.h"

#include "napi_util.h"
#include "slots.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace rae {

namespace {

std::atomic<int> g_signal{0};

/** First signal: remember it, the loops poll. Second: leave at once. */
void on_signal(int number) {
  if (g_signal.exchange(number) != 0) _exit(128 + number);
}

napi_value install_signal_handlers(napi_env env, napi_callback_info) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return undefined(env);
}

napi_value interrupted(napi_env env, napi_callback_info) { return js_int(env, g_signal.load()); }

napi_value clear_interrupted(napi_env env, napi_callback_info) {
  g_signal.store(0);
  return undefined(env);
}

napi_value set_threads(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const int64_t n = to_int(env, args[0], "threads");
  if (n < 1 || n > 4096) refuse(env, args[0], "threads", "between 1 and 4096");
  at::set_num_threads(static_cast<int>(n));
  return undefined(env);
  RAE_CATCH("setThreads")
}

napi_value get_threads(napi_env env, napi_callback_info) { return js_int(env, at::get_num_threads()); }

double resident_bytes() {
#if defined(__linux__)
  long pages = 0, resident = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
#else
  return 0;
#endif
}

/** memoryStats(): live handles, bytes the allocator has handed out, resident and peak resident bytes. */
napi_value memory_stats(napi_env env, napi_callback_info) {
  napi_value out;
  napi_create_object(env, &out);
  napi_set_named_property(env, out, "tensors", js(env, static_cast<double>(live())));
#if defined(__GLIBC__)
  const auto m = mallinfo2();
  napi_set_named_property(env, out, "bytes", js(env, static_cast<double>(m.uordblks + m.hblkhd)));
#else
  napi_set_named_property(env, out, "bytes", js(env, resident_bytes()));
#endif
  napi_set_named_property(env, out, "resident", js(env, resident_bytes()));
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  const double peak = static_cast<double>(usage.ru_maxrss);
#else
  const double peak = static_cast<double>(usage.ru_maxrss) * 1024;
#endif
  napi_set_named_property(env, out, "peakResident", js(env, peak));
  return out;
}

/** tuneMalloc(mmapThreshold, trimThreshold): large blocks stay in the heap, so that they are not page-faulted anew every step. */
napi_value tune_malloc(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
#if defined(__GLIBC__)
  const bool a = mallopt(M_MMAP_THRESHOLD, static_cast<int>(to_int(env, args[0], "mmapThreshold"))) == 1;
  const bool b = mallopt(M_TRIM_THRESHOLD, static_cast<int>(to_int(env, args[1], "trimThreshold"))) == 1;
  return js(env, a && b);
#else
  return js(env, false);
#endif
  RAE_CATCH("tuneMalloc")
}

napi_value versions(napi_env env, napi_callback_info) {
  RAE_TRY
  napi_value out;
  napi_create_object(env, &out);
  napi_set_named_property(env, out, "libtorch", js(env, std::string(TORCH_VERSION)));
  napi_set_named_property(env, out, "cpuCapability", js(env, at::get_cpu_capability()));
  napi_set_named_property(env, out, "config", js(env, at::show_config()));
  napi_set_named_property(env, out, "mkldnn", js(env, at::globalContext().hasMKLDNN()));
  napi_set_named_property(env, out, "cuda", js(env, at::globalContext().hasCUDA()));
  const auto cuda = at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  napi_set_named_property(env, out, "cudaDevices", js(env, static_cast<double>(cuda)));
  return out;
  RAE_CATCH("versions")
}

}  // namespace

void register_system(napi_env env, napi_value exports) {
  add_function(env, exports, "installSignalHandlers", install_signal_handlers);
  add_function(env, exports, "interrupted", interrupted);
  add_function(env, exports, "clearInterrupted", clear_interrupted);
  add_function(env, exports, "setThreads", set_threads);
  add_function(env, exports, "getThreads", get_threads);
  add_function(env, exports, "memoryStats", memory_stats);
  add_function(env, exports, "tuneMalloc", tune_malloc);
  add_function(env, exports, "versions", versions);
}

}  // namespace rae
