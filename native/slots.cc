// The slot table: see slots.h. It is never destroyed, so that tensors do not outlive libtorch's own statics at exit.
#include "slots.h"

#include "napi_util.h"

#include <deque>

namespace rae {

namespace {
struct Slot {
  at::Tensor tensor;
  uint32_t generation = 1;
  bool used = false;
};

struct Table {
  std::deque<Slot> slots{1};  // slot 0 is never used, so that handle 0 means "none"
  std::vector<uint32_t> free;
  size_t live = 0;
};

Table& table() {
  static Table* t = new Table();
  return *t;
}

Slot* find(int32_t handle) {
  auto& t = table();
  const auto bits = static_cast<uint32_t>(handle);
  const uint32_t index = bits & kSlotMask;
  if (handle <= 0 || index >= t.slots.size()) return nullptr;
  Slot& slot = t.slots[index];
  return slot.used && slot.generation == (bits >> kSlotBits) ? &slot : nullptr;
}
}  // namespace

int32_t put(at::Tensor tensor) {
  auto& t = table();
  uint32_t index;
  if (!t.free.empty()) {
    index = t.free.back();
    t.free.pop_back();
  } else {
    if (t.slots.size() > kSlotMask)
      throw std::runtime_error("expected fewer than two million live tensors, received one more. Something keeps them: use tidy() or dispose().");
    index = static_cast<uint32_t>(t.slots.size());
    t.slots.emplace_back();
  }
  Slot& slot = t.slots[index];
  slot.tensor = std::move(tensor);
  slot.used = true;
  t.live++;
  return static_cast<int32_t>((slot.generation << kSlotBits) | index);
}

const at::Tensor& get(int32_t handle) {
  Slot* slot = find(handle);
  if (slot == nullptr)
    throw DisposedError("expected a live tensor, received one that was disposed. keep() it, or return it from the tidy() that made it.");
  return slot->tensor;
}

bool release(int32_t handle) {
  Slot* slot = find(handle);
  if (slot == nullptr) return false;
  at::Tensor dying = std::move(slot->tensor);
  slot->tensor = at::Tensor();
  slot->used = false;
  slot->generation = (slot->generation + 1) & kGenerationMask;
  if (slot->generation == 0) slot->generation = 1;
  auto& t = table();
  t.free.push_back(static_cast<uint32_t>(handle) & kSlotMask);
  t.live--;
  return true;
}

size_t live() { return table().live; }

}  // namespace rae
