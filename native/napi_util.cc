// Node-API helpers: see napi_util.h.
#include "napi_util.h"

#include <c10/util/Exception.h>

#include <cmath>

namespace rae {

namespace {
napi_ref g_classes[3] = {nullptr, nullptr, nullptr};  // NativeError, ArgumentError, DisposedError

std::string first_line(const std::string& text) {
  const auto end = text.find('\n');
  return end == std::string::npos ? text : text.substr(0, end);
}

void throw_class(napi_env env, int which, const std::string& message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) return;
  napi_value constructor = nullptr, text = nullptr, error = nullptr;
  if (g_classes[which] == nullptr || napi_get_reference_value(env, g_classes[which], &constructor) != napi_ok ||
      constructor == nullptr || napi_create_string_utf8(env, message.data(), message.size(), &text) != napi_ok ||
      napi_new_instance(env, constructor, 1, &text, &error) != napi_ok) {
    napi_throw_error(env, nullptr, message.c_str());
    return;
  }
  napi_throw(env, error);
}
}  // namespace

napi_value set_error_classes(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<3> args(env, info);
  for (int i = 0; i < 3; i++) check(napi_create_reference(env, args[i], 1, &g_classes[i]), "error class");
  return undefined(env);
  RAE_CATCH("setErrorClasses")
}

void throw_to_js(napi_env env, const std::string& context) {
  try {
    throw;
  } catch (const ArgumentError& e) {
    throw_class(env, 1, context + ": " + e.what());
  } catch (const DisposedError& e) {
    throw_class(env, 2, context + ": " + e.what());
  } catch (const c10::Error& e) {
    throw_class(env, 0, context + ": " + first_line(e.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw_class(env, 0, context + ": out of memory");
  } catch (const std::exception& e) {
    throw_class(env, 0, context + ": " + first_line(e.what()));
  } catch (...) {
    throw_class(env, 0, context + ": unknown native exception");
  }
}

void check(napi_status status, const char* what) {
  if (status != napi_ok) throw ArgumentError(std::string("unreadable ") + what);
}

napi_valuetype type_of(napi_env env, napi_value v) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, v, &type);
  return type;
}

bool is_nullish(napi_env env, napi_value v) {
  const auto type = type_of(env, v);
  return type == napi_undefined || type == napi_null;
}

double to_double(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok) throw ArgumentError(std::string("'") + name + "' must be a number");
  return d;
}

int64_t to_int(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok) {
    if (type_of(env, v) == napi_bigint) {
      int64_t i;
      bool lossless = false;
      napi_get_value_bigint_int64(env, v, &i, &lossless);
      if (lossless) return i;
    }
    throw ArgumentError(std::string("'") + name + "' must be a whole number");
  }
  if (!(std::abs(d) <= 9007199254740992.0) || d != std::floor(d))
    throw ArgumentError(std::string("'") + name + "' must be a whole number, received " + std::to_string(d));
  return static_cast<int64_t>(d);
}

bool to_bool(napi_env env, napi_value v, const char* name) {
  bool b;
  if (napi_get_value_bool(env, v, &b) != napi_ok) throw ArgumentError(std::string("'") + name + "' must be true or false");
  return b;
}

std::string to_string(napi_env env, napi_value v, const char* name) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, v, nullptr, 0, &length) != napi_ok)
    throw ArgumentError(std::string("'") + name + "' must be a string");
  std::string out(length, '\0');
  napi_get_value_string_utf8(env, v, out.data(), length + 1, &length);
  return out;
}

std::vector<int64_t> to_ints(napi_env env, napi_value v, const char* name) {
  std::vector<int64_t> out;
  bool is_array = false;
  napi_is_array(env, v, &is_array);
  if (is_array) {
    uint32_t length = 0;
    napi_get_array_length(env, v, &length);
    out.reserve(length);
    for (uint32_t i = 0; i < length; i++) {
      napi_value element;
      check(napi_get_element(env, v, i, &element), name);
      out.push_back(to_int(env, element, name));
    }
    return out;
  }
  bool is_typed = false;
  napi_is_typedarray(env, v, &is_typed);
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (is_typed && napi_get_typedarray_info(env, v, &type, &length, &data, nullptr, nullptr) == napi_ok && type == napi_int32_array) {
    const auto* p = static_cast<const int32_t*>(data);
    out.assign(p, p + length);
    return out;
  }
  throw ArgumentError(std::string("'") + name + "' must be an array of whole numbers");
}

napi_value js(napi_env env, double v) {
  napi_value out;
  napi_create_double(env, v, &out);
  return out;
}

napi_value js(napi_env env, bool v) {
  napi_value out;
  napi_get_boolean(env, v, &out);
  return out;
}

napi_value js(napi_env env, const std::string& v) {
  napi_value out;
  napi_create_string_utf8(env, v.data(), v.size(), &out);
  return out;
}

napi_value js_int(napi_env env, int32_t v) {
  napi_value out;
  napi_create_int32(env, v, &out);
  return out;
}

napi_value js_ints(napi_env env, at::IntArrayRef v) {
  napi_value out;
  napi_create_array_with_length(env, v.size(), &out);
  for (size_t i = 0; i < v.size(); i++) napi_set_element(env, out, i, js(env, static_cast<double>(v[i])));
  return out;
}

napi_value undefined(napi_env env) {
  napi_value out;
  napi_get_undefined(env, &out);
  return out;
}

std::string describe(const at::Tensor& t) {
  if (!t.defined()) return "none";
  const char* name;
  switch (t.scalar_type()) {
    case at::kFloat: name = "f32"; break;
    case at::kDouble: name = "f64"; break;
    case at::kBFloat16: name = "bf16"; break;
    case at::kHalf: name = "f16"; break;
    case at::kLong: name = "i64"; break;
    case at::kInt: name = "i32"; break;
    case at::kByte: name = "u8"; break;
    case at::kBool: name = "bool"; break;
    default: name = c10::toString(t.scalar_type());
  }
  std::string out = std::string(name) + "[";
  for (int64_t i = 0; i < t.dim(); i++) out += (i ? ", " : "") + std::to_string(t.size(i));
  out += "]";
  if (!t.device().is_cpu()) out += " on " + t.device().str();
  return out;
}

void add_function(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value fn;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &fn) == napi_ok)
    napi_set_named_property(env, exports, name, fn);
}

}  // namespace rae
