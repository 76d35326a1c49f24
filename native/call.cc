// One generic call for every operator: the schema is read once into a plan, JavaScript arguments are converted by the
// plan, the kernel is called boxed, results become handles. Detects what exists through findSchema, never by version.
// Measured at 0.8-1.1 us a call where PyTorch from Python needs 1.1-1.3.
#include "call.h"

#include "mapped_file.h"
#include "napi_util.h"
#include "random.h"
#include "slots.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cmath>
#include <deque>
#include <unordered_map>

namespace rae {

namespace {

enum class Kind {
  Tensor, TensorList, OptionalTensorList, Int, IntList, Float, FloatList, Bool, BoolList, Scalar, ScalarList, String, Device, Generator,
};

struct Argument {
  Kind kind;
  bool optional = false;
  bool has_default = false;
  int32_t fixed_length = 0;  // int[2]: one number stands for two
  c10::IValue fallback;
  std::string name;
};

struct Operator {
  c10::OperatorHandle handle;
  std::string name;
  std::vector<Argument> arguments;
  bool in_place = false;  // results are the inputs themselves: nothing is returned
};

/** A deque: an operator in use keeps its place when a getter of an argument looks up another. */
std::deque<Operator>& operators() {
  static auto* v = new std::deque<Operator>();
  return *v;
}

Kind kind_of(const c10::TypePtr& type, const std::string& where) {
  using K = c10::TypeKind;
  switch (type->kind()) {
    case K::TensorType: return Kind::Tensor;
    case K::IntType: case K::SymIntType: case K::ScalarTypeType: case K::LayoutType: case K::MemoryFormatType: return Kind::Int;
    case K::FloatType: return Kind::Float;
    case K::BoolType: return Kind::Bool;
    case K::NumberType: return Kind::Scalar;
    case K::StringType: return Kind::String;
    case K::DeviceObjType: return Kind::Device;
    case K::GeneratorType: return Kind::Generator;
    case K::ListType: {
      const auto element = type->castRaw<c10::ListType>()->getElementType();
      if (element->kind() == K::OptionalType) return Kind::OptionalTensorList;
      switch (kind_of(element, where)) {
        case Kind::Tensor: return Kind::TensorList;
        case Kind::Int: return Kind::IntList;
        case Kind::Float: return Kind::FloatList;
        case Kind::Bool: return Kind::BoolList;
        case Kind::Scalar: return Kind::ScalarList;
        default: break;
      }
      break;
    }
    default: break;
  }
  throw ArgumentError("an argument of type " + type->str() + " cannot be passed from JavaScript (" + where + ")");
}

Operator plan(const c10::OperatorHandle& handle, const std::string& name) {
  Operator op{handle, name, {}, false};
  const auto& schema = handle.schema();
  for (const auto& a : schema.arguments()) {
    Argument out;
    out.name = a.name();
    auto type = a.type();
    if (type->kind() == c10::TypeKind::OptionalType) {
      out.optional = true;
      type = type->castRaw<c10::OptionalType>()->getElementType();
    }
    out.kind = kind_of(type, name + " '" + a.name() + "'");
    if (a.N()) out.fixed_length = *a.N();
    if (a.default_value()) {
      out.has_default = true;
      out.fallback = *a.default_value();
    }
    op.arguments.push_back(std::move(out));
  }
  const auto& returns = schema.returns();
  op.in_place = returns.empty() || (returns[0].alias_info() != nullptr && returns[0].alias_info()->isWrite());
  return op;
}

c10::Scalar to_scalar(napi_env env, napi_value v, const char* name) {
  double d;
  if (napi_get_value_double(env, v, &d) == napi_ok) {
    // A whole number is an integer to libtorch, so that integer tensors stay integers; float tensors do not care.
    if (d == std::floor(d) && std::abs(d) < 9007199254740992.0 && !(d == 0 && std::signbit(d))) return c10::Scalar(static_cast<int64_t>(d));
    return c10::Scalar(d);
  }
  bool b;
  if (napi_get_value_bool(env, v, &b) == napi_ok) return c10::Scalar(b);
  refuse(env, v, name, "a number");
}

/** What is no tensor arrives as a text that shows it (src/tensor/wrap.ts): a number could be taken for a handle. */
const at::Tensor& to_tensor(napi_env env, napi_value v, const std::string& name) {
  const auto type = type_of(env, v);
  if (type == napi_number) return get(to_handle(env, v, name.c_str()));
  const std::string shown = type == napi_string ? to_string(env, v, name.c_str()) : show(env, v);
  throw ArgumentError("expected '" + name + "' to be a Tensor, received " + shown + ".");
}

template <typename F>
void each(napi_env env, napi_value v, const std::string& name, F f) {
  bool is_array = false;
  napi_is_array(env, v, &is_array);
  if (!is_array) refuse(env, v, name.c_str(), "an array");
  uint32_t length = 0;
  napi_get_array_length(env, v, &length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(napi_get_element(env, v, i, &element), name.c_str());
    f(element);
  }
}

c10::IValue convert(napi_env env, napi_value v, const Argument& a) {
  if (a.kind == Kind::Tensor) {  // the hot path: a handle, no type test first
    double d;
    if (napi_get_value_double(env, v, &d) == napi_ok) {
      const auto handle = static_cast<int32_t>(d >= 0 && d <= 2147483647 ? d : 0);
      return get(handle == d ? handle : 0);
    }
  }
  if (is_nullish(env, v)) {
    if (a.has_default) return a.fallback;
    if (a.optional) return c10::IValue();
    throw ArgumentError("expected '" + a.name + "', received nothing.");
  }
  const char* name = a.name.c_str();
  switch (a.kind) {
    case Kind::Tensor: return to_tensor(env, v, a.name);
    case Kind::Int: return to_int(env, v, name);
    case Kind::Float: return to_double(env, v, name);
    case Kind::Bool: return to_bool(env, v, name);
    case Kind::Scalar: return to_scalar(env, v, name);
    case Kind::String: return to_string(env, v, name);
    case Kind::Device: return to_device(env, v, name);
    case Kind::Generator: return generator_of(to_handle(env, v, name));
    case Kind::IntList: {
      if (a.fixed_length > 0 && type_of(env, v) == napi_number) return std::vector<int64_t>(a.fixed_length, to_int(env, v, name));
      return to_ints(env, v, name);
    }
    case Kind::TensorList: {
      c10::List<at::Tensor> list;
      bool is_typed = false;
      napi_is_typedarray(env, v, &is_typed);
      if (is_typed) {
        for (const int64_t h : to_ints(env, v, name)) list.push_back(get(static_cast<int32_t>(h)));
      } else {
        each(env, v, a.name, [&](napi_value e) { list.push_back(to_tensor(env, e, a.name)); });
      }
      return list;
    }
    case Kind::OptionalTensorList: {
      c10::List<std::optional<at::Tensor>> list;
      each(env, v, a.name, [&](napi_value e) {
        list.push_back(is_nullish(env, e) ? std::optional<at::Tensor>() : std::optional<at::Tensor>(to_tensor(env, e, a.name)));
      });
      return list;
    }
    case Kind::FloatList: {
      c10::List<double> list;
      each(env, v, a.name, [&](napi_value e) { list.push_back(to_double(env, e, name)); });
      return list;
    }
    case Kind::BoolList: {
      c10::List<bool> list;
      each(env, v, a.name, [&](napi_value e) { list.push_back(to_bool(env, e, name)); });
      return list;
    }
    case Kind::ScalarList: {
      c10::List<at::Scalar> list;
      each(env, v, a.name, [&](napi_value e) { list.push_back(to_scalar(env, e, name)); });
      return c10::IValue(list);
    }
  }
  throw ArgumentError("expected '" + a.name + "' to be of a type that can be passed");
}

/** Handles of a result that has several tensors: all of them, or none when the table is full. */
class Handles {
 public:
  int32_t add(const at::Tensor& t) {
    if (!t.defined()) return 0;
    made_.push_back(put(t));
    return made_.back();
  }
  void give() { made_.clear(); }
  ~Handles() {
    for (const int32_t handle : made_) release(handle);
  }

 private:
  c10::SmallVector<int32_t, 8> made_;
};

napi_value to_js(napi_env env, const c10::IValue& v, Handles& handles) {
  if (v.isTensor()) return js_int(env, handles.add(v.toTensor()));
  if (v.isInt()) return js(env, static_cast<double>(v.toInt()));
  if (v.isDouble()) return js(env, v.toDouble());
  if (v.isBool()) return js(env, v.toBool());
  if (v.isScalar()) return js(env, v.toScalar().toDouble());
  if (v.isString()) return js(env, v.toStringRef());
  if (v.isNone()) return undefined(env);
  if (v.isTensorList()) {
    const auto list = v.toTensorVector();
    napi_value out;
    napi_create_array_with_length(env, list.size(), &out);
    for (size_t i = 0; i < list.size(); i++) napi_set_element(env, out, i, js_int(env, handles.add(list[i])));
    return out;
  }
  if (v.isIntList()) return js_ints(env, v.toIntVector());
  throw ArgumentError("a result of type " + v.tagKind() + " cannot be returned to JavaScript");
}

std::string list_of(const std::vector<std::string>& items) {
  std::string out;
  for (size_t i = 0; i < items.size() && i < 4; i++) out += (i ? ", " : "") + items[i];
  return "[" + out + (items.size() > 4 ? ", ...]" : "]");
}

/** `aten::matmul (f32[2, 3], f32[4, 5])`: read from the JavaScript arguments again, for the kernel that failed has used up the stack. */
std::string inputs_of(napi_env env, const Operator& op, const napi_value* args, size_t count) {
  std::vector<std::string> inputs;
  for (size_t i = 0; i < count && i < op.arguments.size(); i++) {
    const Argument& a = op.arguments[i];
    const bool shown = a.kind == Kind::Tensor || a.kind == Kind::TensorList || a.kind == Kind::OptionalTensorList ||
                       (a.kind == Kind::IntList && i == 0);
    if (!shown) continue;
    try {
      const c10::IValue v = convert(env, args[i], a);
      std::vector<std::string> items;
      if (v.isTensor()) {
        inputs.push_back(describe(v.toTensor()));
        continue;
      } else if (v.isIntList()) {
        for (const int64_t n : v.toIntVector()) items.push_back(std::to_string(n));
      } else if (v.isTensorList()) {
        for (const at::Tensor& t : v.toTensorVector()) items.push_back(describe(t));
      } else if (v.isList()) {
        for (const auto& t : v.toOptionalTensorVector()) items.push_back(t ? describe(*t) : "none");
      } else {
        continue;
      }
      inputs.push_back(list_of(items));
    } catch (const std::exception&) {  // an argument that changed meanwhile (a getter): leave it out
    }
  }
  std::string out = op.name + " (";
  for (size_t i = 0; i < inputs.size(); i++) out += (i ? ", " : "") + inputs[i];
  return out + ")";
}

napi_value call(napi_env env, napi_callback_info info) {
  constexpr size_t kMax = 24;
  napi_value args[kMax];
  size_t count = kMax;
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  double id = 0;
  if (count == 0 || napi_get_value_double(env, args[0], &id) != napi_ok || !(id >= 1 && id <= static_cast<double>(operators().size())) || id != std::floor(id)) {
    napi_throw_error(env, nullptr, "call: expected the number of an operator. Get it from findOperator().");
    return nullptr;
  }
  const Operator& op = operators()[static_cast<size_t>(id) - 1];
  // One stack is kept between calls. It is taken out meanwhile: the getter of an argument may call again.
  static torch::jit::Stack spare;
  torch::jit::Stack stack = std::move(spare);
  spare = torch::jit::Stack();
  stack.clear();
  bool converted = false;
  napi_value out = nullptr;
  try {
    if (count - 1 > op.arguments.size() || count > kMax)
      throw ArgumentError("expected at most " + std::to_string(std::min(op.arguments.size(), kMax - 1)) + " arguments, received " + std::to_string(count - 1) + ".");
    stack.reserve(op.arguments.size());
    for (size_t i = 0; i < op.arguments.size(); i++) {
      if (i + 1 < count) {
        stack.push_back(convert(env, args[i + 1], op.arguments[i]));
      } else if (op.arguments[i].has_default) {
        stack.push_back(op.arguments[i].fallback);
      } else if (op.arguments[i].optional) {
        stack.emplace_back();
      } else {
        throw ArgumentError("expected '" + op.arguments[i].name + "', received nothing.");
      }
    }
    converted = true;
    op.handle.callBoxed(&stack);
    check_mapped_files();
    Handles handles;
    if (op.in_place) {
      out = undefined(env);
    } else if (stack.size() == 1) {
      out = to_js(env, stack[0], handles);
    } else {
      napi_create_array_with_length(env, stack.size(), &out);
      for (size_t i = 0; i < stack.size(); i++) napi_set_element(env, out, i, to_js(env, stack[i], handles));
    }
    handles.give();
  } catch (...) {
    throw_to_js(env, converted ? inputs_of(env, op, args + 1, std::min(count, kMax) - 1) : op.name);
    out = nullptr;
  }
  stack.clear();
  spare = std::move(stack);
  return out;
}

napi_value find_operator(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const auto name = to_string(env, args[0], "name");
  const auto overload = to_string(env, args[1], "overload");
  static auto* known = new std::unordered_map<std::string, int32_t>();
  const auto full = overload.empty() ? name : name + "." + overload;
  if (const auto it = known->find(full); it != known->end()) return js_int(env, it->second);
  const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) return js_int(env, 0);
  operators().push_back(plan(*handle, full));
  const auto id = static_cast<int32_t>(operators().size());
  known->emplace(full, id);
  return js_int(env, id);
  RAE_CATCH("findOperator")
}

napi_value schema_of(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const auto handle = c10::Dispatcher::singleton().findSchema({to_string(env, args[0], "name"), to_string(env, args[1], "overload")});
  if (!handle) return undefined(env);
  std::ostringstream out;
  out << handle->schema();
  return js(env, out.str());
  RAE_CATCH("schemaOf")
}

}  // namespace

void register_call(napi_env env, napi_value exports) {
  add_function(env, exports, "call", call);
  add_function(env, exports, "findOperator", find_operator);
  add_function(env, exports, "schemaOf", schema_of);
}

}  // namespace rae
