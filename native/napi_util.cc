// Node-API helpers: see napi_util.h.
#include "napi_util.h"

#include <ATen/Context.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace rae {

namespace {
constexpr int kClasses = 4;  // NativeError, ArgumentError, DisposedError, DataError
napi_ref g_classes[kClasses] = {};

void replace(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

/** libtorch's first line in our words: memory in GB, and options by their names here. */
std::string in_our_words(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  const std::string asked = "you tried to allocate ";
  if (const auto at = line.find(asked); at != std::string::npos && line.find("memory") < at) {
    const double gigabytes = std::strtod(line.c_str() + at + asked.size(), nullptr) / 1e9;
    char text[48];
    std::snprintf(text, sizeof text, "%.*f", gigabytes < 10 ? 2 : 0, gigabytes);
    return std::string("out of memory: expected ") + text + " GB to be free, received less. Use a smaller batch or shape.";
  }
  replace(line, "Specify retain_graph=True if", "Pass { retainGraph: true } if");
  replace(line, "element 0of the", "one of the");
  replace(line, "Set allow_unused=True if this is the desired behavior", "Use gradAllowUnused() if that is meant");
  return line;
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
  Args<kClasses> args(env, info);
  for (int i = 0; i < kClasses; i++) check(napi_create_reference(env, args[i], 1, &g_classes[i]), "error class");
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
  } catch (const DataError& e) {
    throw_class(env, 3, context + ": " + e.what());
  } catch (const c10::Error& e) {
    throw_class(env, 0, context + ": " + in_our_words(e.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw_class(env, 0, context + ": out of memory");
  } catch (const std::exception& e) {
    throw_class(env, 0, context + ": " + in_our_words(e.what()));
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

std::string show(napi_env env, napi_value v) {
  switch (type_of(env, v)) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_number: {
      double d = 0;
      napi_get_value_double(env, v, &d);
      char text[32];
      std::snprintf(text, sizeof text, "%.17g", d);
      return std::isnan(d) ? "NaN" : text;
    }
    case napi_boolean: {
      bool b = false;
      napi_get_value_bool(env, v, &b);
      return b ? "true" : "false";
    }
    case napi_string: {
      char text[48];
      size_t length = 0;
      napi_get_value_string_utf8(env, v, text, sizeof text, &length);
      return "'" + std::string(text, length) + (length + 1 == sizeof text ? "...'" : "'");
    }
    case napi_bigint: return "a bigint";
    case napi_function: return "a function";
    default: break;
  }
  bool yes = false;
  napi_is_array(env, v, &yes);
  return yes ? "an array" : "an object";
}

void refuse(napi_env env, napi_value v, const char* name, const char* what) {
  throw ArgumentError(std::string("expected '") + name + "' to be " + what + ", received " + show(env, v) + ".");
}

int32_t to_handle(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok) refuse(env, v, name, "a handle");
  const bool whole = d >= 0 && d <= 2147483647 && d == static_cast<int32_t>(d);
  return whole ? static_cast<int32_t>(d) : -1;  // -1 is nobody's: what looks it up says so
}

double to_double(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok) refuse(env, v, name, "a number");
  return d;
}

int64_t to_int(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok) {
    int64_t i = 0;
    bool lossless = false;
    if (napi_get_value_bigint_int64(env, v, &i, &lossless) == napi_ok && lossless) return i;
    refuse(env, v, name, "a whole number");
  }
  if (!(std::abs(d) <= 9007199254740992.0) || d != std::floor(d)) refuse(env, v, name, "a whole number");
  return static_cast<int64_t>(d);
}

bool to_bool(napi_env env, napi_value v, const char* name) {
  bool b;
  if (napi_get_value_bool(env, v, &b) != napi_ok) refuse(env, v, name, "true or false");
  return b;
}

std::string to_string(napi_env env, napi_value v, const char* name) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, v, nullptr, 0, &length) != napi_ok) refuse(env, v, name, "a string");
  std::string out(length, '\0');
  napi_get_value_string_utf8(env, v, out.data(), length + 1, &length);
  return out;
}

at::Device to_device(napi_env env, napi_value v, const char* name) {
  const std::string text = to_string(env, v, name);
  if (text == "cpu") return at::Device(at::kCPU);
  const auto& context = at::globalContext();
  const bool cuda = text == "cuda" || text.rfind("cuda:", 0) == 0;
  if (!cuda) refuse(env, v, name, "'cpu' or 'cuda:0'");
  if (!context.hasCUDA())
    refuse(env, v, name, "'cpu' (this libtorch sees no CUDA device; `rae doctor` says more)");
  const at::Device device(text);
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (device.has_index() && device.index() >= count)
    refuse(env, v, name, ("one of " + std::to_string(count) + " CUDA devices").c_str());
  return device;
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
  refuse(env, v, name, "an array of whole numbers");
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
