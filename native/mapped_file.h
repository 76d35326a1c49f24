// Files as memory, free of Node and libtorch. The system ends a process that touches a mapped page whose file was cut
// meanwhile (SIGBUS); here such a page reads as zeros, and check_mapped_files() throws before anyone sees them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace rae {

struct MappedPages;

/** Private pages of a file: writing to them does not reach it. Unmapped when the last owner goes, on any thread. */
class MappedFile {
 public:
  /**
   * Maps `length` bytes from `offset`. Opens `path`, or uses the descriptor `fd` (0 or more; it stays the caller's) and takes `path`
   * for messages only. DataError when it cannot be opened, is no regular file, or ends before the last byte.
   */
  static std::shared_ptr<MappedFile> open(const std::string& path, int fd, size_t offset, size_t length);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /** The byte at `offset`; null where `length` is 0. */
  uint8_t* data() const { return data_; }

 private:
  MappedFile() = default;
  uint8_t* data_ = nullptr;
  MappedPages* pages_ = nullptr;
};

extern std::atomic<bool> g_mapped_file_was_cut;
[[noreturn]] void throw_mapped_file_was_cut();

/**
 * DataError when a page was missing since the last check: what was computed from it is worthless. Called after every piece of
 * work on tensors, on the thread that ordered it. Whoever touches missing pages again meets the error again.
 */
inline void check_mapped_files() {
  if (__builtin_expect(g_mapped_file_was_cut.load(std::memory_order_relaxed), 0)) throw_mapped_file_was_cut();
}

}  // namespace rae
