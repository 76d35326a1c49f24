// The slot table: a tensor crosses the boundary as a 31-bit integer, slot number plus generation, so that use after
// free is an error that says so. Wrapped objects would cost two to three times as much a call.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace rae {

constexpr int kSlotBits = 21;  // two million live tensors; the remaining ten bits are the generation
constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
constexpr uint32_t kGenerationMask = (1u << (31 - kSlotBits)) - 1;

/** Stores a tensor and returns its handle (never 0). */
int32_t put(at::Tensor tensor);

/** The tensor of a handle. Throws DisposedError when it was freed. */
const at::Tensor& get(int32_t handle);

/** Frees a handle. False when it was free already. */
bool release(int32_t handle);

/** Number of live handles. */
size_t live();

}  // namespace rae
