// Mapped files that may shrink: see mapped_file.h. The handler of SIGBUS runs on whichever thread met the missing page and may use
// nothing but atomics and system calls. So mappings are listed in blocks that are never freed, written under a mutex, read without.
#include "mapped_file.h"

#include "errors.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

namespace rae {

std::atomic<bool> g_mapped_file_was_cut{false};

/** A mapping as the handler sees it: pages begin..end-1; begin is 0 while the place is free. */
struct MappedPages {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<uintptr_t> cut{0};  // the first page that was missing since the last check; 0 for none
  std::string path;  // written under the mutex; the handler does not look at it
};

namespace {

struct Block {
  static constexpr size_t kSize = 256;
  MappedPages places[kSize];
  std::atomic<Block*> next{nullptr};
};

Block* const g_first = new Block();  // never destroyed: tensors may go after it
std::mutex g_mutex;
struct sigaction g_before {};
const size_t g_page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

template <typename Use>
void for_each(Use use) {
  for (Block* block = g_first; block != nullptr; block = block->next.load(std::memory_order_acquire))
    for (MappedPages& place : block->places)
      if (use(place)) return;
}

void on_missing_page(int number, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  bool ours = false;
  bool missing = info->si_code > 0;  // 0 and below: sent by a process
#if defined(BUS_MCEERR_AR)
  missing = missing && info->si_code != BUS_MCEERR_AR;  // broken memory
#endif
  if (missing) {
    for_each([&](MappedPages& place) {
      const uintptr_t begin = place.begin.load(std::memory_order_acquire), end = place.end.load(std::memory_order_acquire);
      if (begin == 0 || address < begin || address >= end) return false;
      const uintptr_t from = address / g_page * g_page;  // what follows a missing page is missing too
      ours = mmap(reinterpret_cast<void*>(from), end - from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
      if (ours) {
        uintptr_t first = place.cut.load(std::memory_order_relaxed);
        while ((first == 0 || from < first) && !place.cut.compare_exchange_weak(first, from, std::memory_order_relaxed)) {
        }
        g_mapped_file_was_cut.store(true, std::memory_order_relaxed);
      }
      return true;
    });
  }
  errno = saved;
  if (ours) return;
  if ((g_before.sa_flags & SA_SIGINFO) != 0 && g_before.sa_sigaction != nullptr) return g_before.sa_sigaction(number, info, context);
  if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) return g_before.sa_handler(number);
  signal(number, SIG_DFL);  // the instruction runs again and ends the process as it would have
  if (info->si_code <= 0) raise(number);
}

/** Under the mutex. */
void install_handler() {
  static bool installed = false;
  if (installed) return;
  struct sigaction action {};
  action.sa_sigaction = on_missing_page;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaction(SIGBUS, &action, &g_before) != 0) throw DataError(std::string("cannot watch for files that are cut: ") + std::strerror(errno));
  installed = true;
}

/** Under the mutex. */
MappedPages& free_place() {
  for (Block* block = g_first;; block = block->next.load(std::memory_order_relaxed)) {
    for (MappedPages& place : block->places)
      if (place.begin.load(std::memory_order_relaxed) == 0) return place;
    if (block->next.load(std::memory_order_relaxed) == nullptr) block->next.store(new Block(), std::memory_order_release);
  }
}

/** A file of no bytes: a mapping of it has only missing pages. -1 where the system has none to give. */
int empty_file() {
#if defined(__linux__)
  static const int fd = memfd_create("rae-cut", MFD_CLOEXEC);
  return fd;
#else
  return -1;
#endif
}

struct Descriptor {
  int fd;
  bool own;
  ~Descriptor() {
    if (own && fd >= 0) ::close(fd);
  }
};

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path, int fd, size_t offset, size_t length) {
  // A pipe without a writer would wait for one.
  const Descriptor file{fd >= 0 ? fd : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), fd < 0};
  if (file.fd < 0) throw DataError("cannot open '" + path + "': " + std::strerror(errno));
  struct stat st {};
  if (fstat(file.fd, &st) != 0 || !S_ISREG(st.st_mode)) throw DataError("expected a file, received '" + path + "', which is none.");
  const auto size = static_cast<size_t>(st.st_size);
  if (offset > size || length > size - offset) {
    throw DataError("expected '" + path + "' to reach byte " + std::to_string(offset + length) + ", received a file of " + std::to_string(size) + " bytes. Was it cut short?");
  }
  std::shared_ptr<MappedFile> mapped(new MappedFile());
  if (length == 0) return mapped;
  const size_t start = offset / g_page * g_page;
  const size_t bytes = (offset - start + length + g_page - 1) / g_page * g_page;
  const std::lock_guard<std::mutex> lock(g_mutex);
  install_handler();
  MappedPages& place = free_place();
  place.path = path;  // before the mapping: it may throw
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.fd, static_cast<off_t>(start));
  if (base == MAP_FAILED) throw DataError("cannot map '" + path + "': " + std::strerror(errno));
  place.cut.store(0, std::memory_order_relaxed);
  place.end.store(reinterpret_cast<uintptr_t>(base) + bytes, std::memory_order_release);
  place.begin.store(reinterpret_cast<uintptr_t>(base), std::memory_order_release);
  mapped->pages_ = &place;
  mapped->data_ = static_cast<uint8_t*>(base) + (offset - start);
  return mapped;
}

MappedFile::~MappedFile() {
  if (pages_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(g_mutex);
  const uintptr_t begin = pages_->begin.exchange(0);
  munmap(reinterpret_cast<void*>(begin), pages_->end.load() - begin);
}

void throw_mapped_file_was_cut() {
  const std::lock_guard<std::mutex> lock(g_mutex);
  g_mapped_file_was_cut.store(false, std::memory_order_relaxed);
  std::string path;
  for_each([&](MappedPages& place) {
    if (place.begin.load() == 0) return false;
    const uintptr_t from = place.cut.exchange(0);
    if (from == 0) return false;
    if (path.empty()) path = place.path;
    // The zeros go again, so that the next one to touch these pages learns of it as well. Those before them are the file's.
    if (empty_file() >= 0)
      mmap(reinterpret_cast<void*>(from), place.end.load() - from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, empty_file(), 0);
    return false;
  });
  throw DataError("expected '" + path + "' to keep its length while tensors are mapped from it, received a file that was cut. " +
                  "Load it again, without mmap, or replace files by renaming new ones into their place.");
}

}  // namespace rae
