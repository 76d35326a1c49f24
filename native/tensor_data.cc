// Data in and out: typed arrays (copied or shared), memory-mapped files as storage, and what a tensor is (shape, dtype).
#include "tensor_data.h"

#include "mapped_file.h"
#include "napi_util.h"
#include "slots.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace rae {

namespace {

int32_t* g_free_list = nullptr;  // handles that JavaScript wants freed: written there, read here, no argument conversion
size_t g_free_capacity = 0;

const at::Tensor& tensor_arg(napi_env env, napi_value v) { return get(to_handle(env, v, "tensor")); }

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

/** The memory of a typed array, DataView or ArrayBuffer. */
Bytes bytes_of(napi_env env, napi_value v) {
  Bytes out;
  void* data = nullptr;
  bool yes = false;
  napi_is_typedarray(env, v, &yes);
  if (yes) {
    napi_typedarray_type type;
    size_t length = 0;
    check(napi_get_typedarray_info(env, v, &type, &length, &data, nullptr, nullptr), "typed array");
    size_t width = 1;
    switch (type) {
      case napi_int16_array: case napi_uint16_array: width = 2; break;
      case napi_int32_array: case napi_uint32_array: case napi_float32_array: width = 4; break;
      case napi_float64_array: case napi_bigint64_array: case napi_biguint64_array: width = 8; break;
      default: break;
    }
    out.length = length * width;
  } else if (napi_is_arraybuffer(env, v, &yes) == napi_ok && yes) {
    check(napi_get_arraybuffer_info(env, v, &data, &out.length), "ArrayBuffer");
  } else {
    refuse(env, v, "data", "a typed array or an ArrayBuffer");
  }
  out.data = static_cast<uint8_t*>(data);
  return out;
}

size_t bytes_needed(const std::vector<int64_t>& shape, at::ScalarType dtype) {
  size_t n = c10::elementSize(dtype);
  for (const int64_t d : shape) {
    if (d < 0) throw ArgumentError("expected 'shape' to hold no negative size, received " + std::to_string(d) + ".");
    if (__builtin_mul_overflow(n, static_cast<size_t>(d), &n)) throw ArgumentError("expected a 'shape' that memory can hold, received one of more than 2^64 bytes.");
  }
  return n;
}

at::ScalarType dtype_arg(napi_env env, napi_value v) {
  const int64_t code = to_int(env, v, "dtype");
  for (const auto known : {at::kByte, at::kInt, at::kLong, at::kHalf, at::kFloat, at::kDouble, at::kBool, at::kBFloat16})
    if (code == static_cast<int64_t>(known)) return known;
  refuse(env, v, "dtype", "the code of a dtype");
}

void expect_bytes(const Bytes& have, size_t need) {
  if (have.length == need) return;
  const char* hint = have.length == 0 ? " (was its buffer transferred?)" : "";
  throw ArgumentError("expected 'data' to hold " + std::to_string(need) + " bytes for this shape and dtype, received " + std::to_string(have.length) + hint + ".");
}

/** fromArray(data, dtype, shape): a copy. */
napi_value from_array(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<3> args(env, info);
  const auto dtype = dtype_arg(env, args[1]);
  const auto shape = to_ints(env, args[2], "shape");
  const Bytes bytes = bytes_of(env, args[0]);  // last: reading the others may run a getter that detaches the buffer
  expect_bytes(bytes, bytes_needed(shape, dtype));
  at::Tensor out = at::detail::empty_cpu(shape, dtype, std::nullopt, std::nullopt, std::nullopt, std::nullopt);
  if (bytes.length > 0) std::memcpy(out.data_ptr(), bytes.data, bytes.length);
  return js_int(env, put(std::move(out)));
  RAE_CATCH("tensor")
}

// A shared buffer's reference may only be dropped on the main thread, outside of garbage collection.
struct SharedBuffer {
  napi_env env;
  napi_ref ref;
};
std::mutex g_dropped_mutex;
std::vector<SharedBuffer> g_dropped;
std::atomic<bool> g_any_dropped{false};

void drop_references() {
  if (!g_any_dropped.exchange(false)) return;
  std::lock_guard<std::mutex> lock(g_dropped_mutex);
  for (const auto& b : g_dropped) napi_delete_reference(b.env, b.ref);
  g_dropped.clear();
}

/** fromBuffer(data, dtype, shape): shares the memory and keeps the buffer alive. */
napi_value from_buffer(napi_env env, napi_callback_info info) {
  RAE_TRY
  drop_references();
  Args<3> args(env, info);
  const auto dtype = dtype_arg(env, args[1]);
  const auto shape = to_ints(env, args[2], "shape");
  const Bytes bytes = bytes_of(env, args[0]);  // last: reading the others may run a getter that detaches the buffer
  expect_bytes(bytes, bytes_needed(shape, dtype));
  if (reinterpret_cast<uintptr_t>(bytes.data) % c10::elementSize(dtype) != 0) throw ArgumentError("expected 'data' to be aligned to its dtype, received a view that is not. Copy it with tensor().");
  napi_ref ref;
  check(napi_create_reference(env, args[0], 1, &ref), "data");
  const auto drop = [env, ref](void*) {
    std::lock_guard<std::mutex> lock(g_dropped_mutex);
    g_dropped.push_back({env, ref});
    g_any_dropped = true;
  };
  at::Tensor out = at::from_blob(bytes.data, shape, drop, at::TensorOptions().dtype(dtype));
  return js_int(env, put(std::move(out)));
  RAE_CATCH("fromBuffer")
}

/** read(tensor, array): the elements, row-major, into a typed array of as many bytes. Waits for the device. */
napi_value read(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const at::Tensor t = tensor_arg(env, args[0]).detach();
  const Bytes bytes = bytes_of(env, args[1]);
  expect_bytes(bytes, t.nbytes());
  if (bytes.length == 0) return undefined(env);
  if (t.is_contiguous() && t.device().is_cpu()) {
    std::memcpy(bytes.data, t.const_data_ptr(), bytes.length);
  } else {
    c10::AutoGradMode no_grad(false);
    at::from_blob(bytes.data, t.sizes(), at::TensorOptions().dtype(t.dtype())).copy_(t);
  }
  check_mapped_files();
  return undefined(env);
  RAE_CATCH("toArray")
}

/** Where a tensor lies in a mapped file. */
struct Place {
  size_t offset;
  size_t length;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
};

Place place_arg(napi_env env, napi_value v) {
  napi_value offset, dtype, shape;
  check(napi_get_element(env, v, 0, &offset), "offset");
  check(napi_get_element(env, v, 1, &dtype), "dtype");
  check(napi_get_element(env, v, 2, &shape), "shape");
  const int64_t at = to_int(env, offset, "offset");
  if (at < 0) refuse(env, offset, "offset", "0 or more");
  Place place{static_cast<size_t>(at), 0, dtype_arg(env, dtype), to_ints(env, shape, "shape")};
  place.length = bytes_needed(place.shape, place.dtype);
  return place;
}

at::Tensor view_of(const std::shared_ptr<MappedFile>& mapped, size_t start, const Place& place) {
  const auto options = at::TensorOptions().dtype(place.dtype);
  if (place.length == 0) return at::empty(place.shape, options);
  uint8_t* data = mapped->data() + (place.offset - start);
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(place.dtype) == 0) return at::from_blob(data, place.shape, [mapped](void*) {}, options);
  at::Tensor copy = at::empty(place.shape, options);  // a file that does not align its tensors
  std::memcpy(copy.data_ptr(), data, place.length);
  return copy;
}

/** mapFile(path, fd | undefined, [[offset, dtype, shape], ...]): tensors over one mapping of private (copy-on-write) pages of the file. */
napi_value map_file(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<3> args(env, info);
  const auto path = to_string(env, args[0], "path");
  if (path.find('\0') != std::string::npos) throw ArgumentError("expected a path without a NUL, received '" + std::string(path.c_str()) + "\\0...'");
  const int64_t fd = is_nullish(env, args[1]) ? -1 : to_int(env, args[1], "fd");
  if (!is_nullish(env, args[1]) && (fd < 0 || fd != static_cast<int>(fd))) refuse(env, args[1], "fd", "the descriptor of an open file");
  uint32_t count = 0;
  check(napi_get_array_length(env, args[2], &count), "places");
  std::vector<Place> places;
  places.reserve(count);
  size_t start = count == 0 ? 0 : SIZE_MAX, end = 0;
  for (uint32_t i = 0; i < count; i++) {
    napi_value v;
    check(napi_get_element(env, args[2], i, &v), "place");
    const Place& place = places.emplace_back(place_arg(env, v));
    start = std::min(start, place.offset);
    end = std::max(end, place.offset + std::min(place.length, SIZE_MAX - place.offset));
  }
  const auto mapped = MappedFile::open(path, static_cast<int>(fd), start, end - start);
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (const Place& place : places) tensors.push_back(view_of(mapped, start, place));
  check_mapped_files();
  std::vector<int64_t> handles;
  handles.reserve(count);
  try {
    for (at::Tensor& tensor : tensors) handles.push_back(put(std::move(tensor)));
  } catch (...) {
    for (const int64_t handle : handles) release(static_cast<int32_t>(handle));
    throw;
  }
  return js_ints(env, handles);
  RAE_CATCH("mapFile")
}

napi_value shape_of(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  return js_ints(env, tensor_arg(env, args[0]).sizes());
  RAE_CATCH("shape")
}

napi_value dtype_of(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  return js_int(env, static_cast<int32_t>(tensor_arg(env, args[0]).scalar_type()));
  RAE_CATCH("dtype")
}

napi_value device_of(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  return js(env, tensor_arg(env, args[0]).device().str());
  RAE_CATCH("device")
}

napi_value item(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const at::Tensor& t = tensor_arg(env, args[0]);
  if (t.numel() != 1) throw ArgumentError("expected a tensor of one element, received " + describe(t) + ".");
  const double value = t.item().toDouble();
  check_mapped_files();
  return js(env, value);
  RAE_CATCH("item")
}

napi_value same_storage(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  return js(env, tensor_arg(env, args[0]).is_alias_of(tensor_arg(env, args[1])));
  RAE_CATCH("sharesMemory")
}

/**
 * firstDifference(a, b): index of the first pair that differs in shape, strides, dtype or device, or lacks its partner; -1 when none does.
 * Fused kernels walk raw memory and check nothing of it.
 */
napi_value first_difference(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<2> args(env, info);
  const auto a = to_ints(env, args[0], "a"), b = to_ints(env, args[1], "b");
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; i++) {
    const auto handle = [](int64_t h) { return h == static_cast<int32_t>(h) ? static_cast<int32_t>(h) : 0; };  // 0 is nobody's
    const at::Tensor& x = get(handle(a[i]));
    const at::Tensor& y = get(handle(b[i]));
    if (x.sizes() != y.sizes() || x.strides() != y.strides() || x.scalar_type() != y.scalar_type() || x.device() != y.device())
      return js_int(env, static_cast<int32_t>(i));
  }
  return js_int(env, a.size() == b.size() ? -1 : static_cast<int32_t>(n));
  RAE_CATCH("firstDifference")
}

napi_value free_one(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const bool was_live = release(to_handle(env, args[0], "tensor"));
  drop_references();
  return js(env, was_live);
  RAE_CATCH("dispose")
}

napi_value set_free_list(napi_env env, napi_callback_info info) {
  RAE_TRY
  Args<1> args(env, info);
  const Bytes bytes = bytes_of(env, args[0]);
  static napi_ref keep = nullptr;
  if (keep != nullptr) napi_delete_reference(env, keep);
  check(napi_create_reference(env, args[0], 1, &keep), "free list");
  g_free_list = reinterpret_cast<int32_t*>(bytes.data);
  g_free_capacity = bytes.length / sizeof(int32_t);
  return undefined(env);
  RAE_CATCH("setFreeList")
}

/** freeListed(count): frees the first `count` handles of the list. */
napi_value free_listed(napi_env env, napi_callback_info info) {
  napi_value v;
  size_t count = 1;
  int32_t n = 0;
  napi_get_cb_info(env, info, &count, &v, nullptr, nullptr);
  napi_get_value_int32(env, v, &n);
  for (int32_t i = 0; i < n && static_cast<size_t>(i) < g_free_capacity; i++) release(g_free_list[i]);
  drop_references();
  return nullptr;
}

}  // namespace

void register_tensor_data(napi_env env, napi_value exports) {
  add_function(env, exports, "fromArray", from_array);
  add_function(env, exports, "fromBuffer", from_buffer);
  add_function(env, exports, "read", read);
  add_function(env, exports, "mapFile", map_file);
  add_function(env, exports, "shapeOf", shape_of);
  add_function(env, exports, "dtypeOf", dtype_of);
  add_function(env, exports, "deviceOf", device_of);
  add_function(env, exports, "item", item);
  add_function(env, exports, "sharesMemory", same_storage);
  add_function(env, exports, "firstDifference", first_difference);
  add_function(env, exports, "free", free_one);
  add_function(env, exports, "setFreeList", set_free_list);
  add_function(env, exports, "freeListed", free_listed);
}

}  // namespace rae
