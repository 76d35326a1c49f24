// Node-API helpers shared by every native file: argument reading, value making, and the one place where C++ exceptions
// become JavaScript errors. Nothing in here knows of models.
#pragma once

#include "errors.h"

#include <node_api.h>

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace rae {

/** Turns the exception being handled into a pending JavaScript error. `context` names the operator and its inputs. */
void throw_to_js(napi_env env, const std::string& context);

/** Keeps the JavaScript classes NativeError, ArgumentError, DisposedError and DataError for throw_to_js. */
napi_value set_error_classes(napi_env env, napi_callback_info info);

/** Aborts the conversion with the N-API status in words: only for calls that fail when the arguments are wrong. */
void check(napi_status status, const char* what);

/** Reads exactly `count` arguments; missing ones are undefined. */
template <size_t N>
struct Args {
  napi_value v[N];
  size_t count = N;
  Args(napi_env env, napi_callback_info info) { check(napi_get_cb_info(env, info, &count, v, nullptr, nullptr), "arguments"); }
  napi_value operator[](size_t i) const { return v[i]; }
};

napi_valuetype type_of(napi_env env, napi_value v);
bool is_nullish(napi_env env, napi_value v);
/** A short rendering of any value for a message: `3`, `'text'`, `an array`. */
std::string show(napi_env env, napi_value v);
/** ArgumentError "expected 'name' to be WHAT, received VALUE". */
[[noreturn]] void refuse(napi_env env, napi_value v, const char* name, const char* what);
/** The number of a tensor or generator. Fractions and numbers beyond 31 bits are refused, so that none wraps to another's. */
int32_t to_handle(napi_env env, napi_value v, const char* name);
double to_double(napi_env env, napi_value v, const char* name);
int64_t to_int(napi_env env, napi_value v, const char* name);
bool to_bool(napi_env env, napi_value v, const char* name);
std::string to_string(napi_env env, napi_value v, const char* name);
/** 'cpu', or a CUDA device that this libtorch sees. */
at::Device to_device(napi_env env, napi_value v, const char* name);
/** A JavaScript array or an Int32Array of whole numbers. */
std::vector<int64_t> to_ints(napi_env env, napi_value v, const char* name);

napi_value js(napi_env env, double v);
napi_value js(napi_env env, bool v);
napi_value js(napi_env env, const std::string& v);
inline napi_value js(napi_env env, int64_t v) { return js(env, static_cast<double>(v)); }
napi_value js_int(napi_env env, int32_t v);
napi_value js_ints(napi_env env, at::IntArrayRef v);
napi_value undefined(napi_env env);

/** `f32[2, 3]`: how a tensor is named in messages. */
std::string describe(const at::Tensor& t);

/** Adds a function to the exports object. */
void add_function(napi_env env, napi_value exports, const char* name, napi_callback callback);

}  // namespace rae

/** Wraps the body of an exported function: no exception crosses into V8. */
#define RAE_TRY try {
#define RAE_CATCH(context)              \
  }                                     \
  catch (...) {                         \
    rae::throw_to_js(env, context);     \
    return nullptr;                     \
  }
