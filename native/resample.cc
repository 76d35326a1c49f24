// resample(source, width, height, channels, steps, target): a pipeline of resize, crop and mirror (resample_kernel.cc)
// from one Uint8Array into another. The promise variant runs in libuv's thread pool, so decoding and cropping overlap
// the compute; both arrays are held by reference until it settles and must not be written to meanwhile.
#include "resample.h"

#include "napi_util.h"
#include "resample_kernel.h"

#include <memory>
#include <stdexcept>

namespace rae {

namespace {

struct Job {
  const uint8_t* source = nullptr;
  uint8_t* target = nullptr;
  resample::Size size{};
  int channels = 0;
  std::vector<resample::Step> steps;

  std::string error;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  napi_ref held[2] = {nullptr, nullptr};
};

struct Bytes {
  uint8_t* data;
  size_t length;
};

Bytes bytes_of(napi_env env, napi_value v, const char* name) {
  bool typed = false;
  napi_is_typedarray(env, v, &typed);
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!typed || napi_get_typedarray_info(env, v, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      (type != napi_uint8_array && type != napi_uint8_clamped_array))
    refuse(env, v, name, "a Uint8Array");
  return {static_cast<uint8_t*>(data), length};
}

/** Reads and checks the six arguments: after this, running the job touches no memory but its own. */
void read_job(napi_env env, const Args<6>& args, Job& job) {
  job.size = {to_int(env, args[1], "width"), to_int(env, args[2], "height")};
  const int64_t channels = to_int(env, args[3], "channels");
  if (channels < 1 || channels > 4) refuse(env, args[3], "channels", "1 to 4");
  job.channels = static_cast<int>(channels);

  const std::vector<int64_t> flat = to_ints(env, args[4], "steps");
  if (flat.size() % 5 != 0) throw ArgumentError("expected 'steps' to hold five numbers a step, received " + std::to_string(flat.size()) + ".");
  for (size_t i = 0; i < flat.size(); i += 5) {
    const auto at = [&](size_t k) { return static_cast<int32_t>(flat[i + k]); };
    job.steps.push_back({at(0), at(1), at(2), at(3), at(4)});
  }
  resample::Size out{};
  try {
    out = resample::size_after(job.size, job.steps);
  } catch (const std::invalid_argument& e) {
    throw ArgumentError(std::string("expected steps that can be taken, received ") + e.what() + ".");
  }
  const Bytes source = bytes_of(env, args[0], "source"), target = bytes_of(env, args[5], "target");
  const auto need = [&](const char* name, resample::Size size, size_t length) {
    const int64_t wanted = size.width * size.height * channels;
    if (static_cast<int64_t>(length) == wanted) return;
    throw ArgumentError(std::string("expected '") + name + "' to hold " + std::to_string(wanted) + " bytes, received " + std::to_string(length) + ".");
  };
  need("source", job.size, source.length);
  need("target", out, target.length);
  if (source.data < target.data + target.length && target.data < source.data + source.length)
    throw ArgumentError("expected 'source' and 'target' to be apart, received overlapping memory.");
  job.source = source.data;
  job.target = target.data;
}

void run_job(Job& job) { resample::run(job.source, job.size, job.channels, job.steps, job.target); }

napi_value resample_sync(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<6> args(env, info);
  Job job;
  read_job(env, args, job);
  run_job(job);
  return undefined(env);
  RAE_CATCH("resampleSync")
}

void execute(napi_env, void* data) {
  auto& job = *static_cast<Job*>(data);
  try {
    run_job(job);
  } catch (const std::bad_alloc&) {
    job.error = "out of memory";
  } catch (const std::exception& e) {
    job.error = e.what();
  } catch (...) {
    job.error = "unknown native exception";
  }
}

void complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  if (status == napi_cancelled) job->error = "cancelled";
  if (job->error.empty()) {
    napi_resolve_deferred(env, job->deferred, undefined(env));
  } else {
    napi_value error;
    napi_create_error(env, nullptr, js(env, "resample: " + job->error), &error);
    napi_reject_deferred(env, job->deferred, error);
  }
  for (napi_ref reference : job->held) napi_delete_reference(env, reference);
  napi_delete_async_work(env, job->work);
  napi_close_handle_scope(env, scope);
}

napi_value resample_async(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<6> args(env, info);
  auto job = std::make_unique<Job>();
  read_job(env, args, *job);
  napi_value promise;
  check(napi_create_async_work(env, nullptr, js(env, std::string("rae:resample")), execute, complete, job.get(), &job->work), "async work");
  check(napi_create_promise(env, &job->deferred, &promise), "promise");
  check(napi_create_reference(env, args[0], 1, &job->held[0]), "source");
  check(napi_create_reference(env, args[5], 1, &job->held[1]), "target");
  check(napi_queue_async_work(env, job->work), "async work");
  job.release();  // complete() frees it
  return promise;
  RAE_CATCH("resample")
}

}  // namespace

void register_resample(napi_env env, napi_value exports) {
  add_function(env, exports, "resample", resample_async);
  add_function(env, exports, "resampleSync", resample_sync);
}

}  // namespace rae
