// The native code that touches bytes of files, without Node and libtorch, under AddressSanitizer: pictures through resampling with sound
// and absurd steps, files mapped at every kind of offset and cut meanwhile. Buffers have the exact size, so that one byte too far is seen.
#include "../../native/errors.h"
#include "../../native/mapped_file.h"
#include "../../native/resample_kernel.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

using namespace rae;

namespace {

std::mt19937 generator;
int64_t pick(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(generator); }

/** Mostly small, now and then a number that no size may have. */
int32_t number(int32_t from, int32_t to) {
  static const int32_t absurd[] = {0, -1, INT32_MAX, INT32_MIN, (1 << 20) + 1};
  return pick(0, 19) == 0 ? absurd[pick(0, 4)] : static_cast<int32_t>(pick(from, to));
}

bool resample_once() {
  const resample::Size size{number(1, 40), number(1, 40)};
  const int channels = static_cast<int>(pick(1, 4));
  std::vector<resample::Step> steps(pick(0, 4));
  for (auto& step : steps) {
    const auto op = static_cast<int32_t>(pick(0, 3));  // 3 is none
    step = op == resample::kResize ? resample::Step{op, number(1, 60), number(1, 60), static_cast<int32_t>(pick(-1, 6)), 0}
                                   : resample::Step{op, number(-20, 40), number(-20, 40), number(1, 50), number(1, 50)};
  }
  try {
    const auto out = resample::size_after(size, steps);
    if (size.width * size.height > 1 << 22 || out.width * out.height > 1 << 22) return false;  // sound, but not for thousands of times
    std::vector<uint8_t> source(size.width * size.height * channels), target(out.width * out.height * channels);
    for (auto& byte : source) byte = static_cast<uint8_t>(generator());
    resample::run(source.data(), size, channels, steps, target.data());
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

bool map_once(const std::string& path) {
  const auto size = static_cast<size_t>(pick(0, 40000));
  FILE* file = std::fopen(path.c_str(), "wb");
  const std::vector<uint8_t> bytes(size, 7);
  if (file == nullptr || std::fwrite(bytes.data(), 1, size, file) != size || std::fclose(file) != 0) std::abort();
  const auto offset = static_cast<size_t>(pick(0, 9) == 0 ? -1 : pick(0, 45000)), length = static_cast<size_t>(pick(0, 9) == 0 ? -1 : pick(0, 45000));
  const bool fits = offset <= size && length <= size - offset;
  try {
    const auto mapped = MappedFile::open(path, -1, offset, length);
    if (!fits) std::abort();
    const auto kept = static_cast<size_t>(pick(0, static_cast<int64_t>(size)));
    const bool cut = pick(0, 1) == 0;
    if (cut && truncate(path.c_str(), static_cast<off_t>(kept)) != 0) std::abort();
    for (size_t i = 0; i < length; i++) {
      const uint8_t byte = mapped->data()[i];
      if (byte != 7 && !(cut && byte == 0)) std::abort();
    }
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const bool missing = cut && length > 0 && offset + length > (kept + page - 1) / page * page;  // up to its page's end a file reads as zeros
    bool told = false;
    try {
      check_mapped_files();
    } catch (const DataError&) {
      told = true;
    }
    if (told != missing) std::abort();
    const size_t whole = cut ? (kept > offset ? std::min(length, kept - offset) : 0) : length;
    for (size_t i = 0; i < whole; i++)
      if (mapped->data()[i] != 7) std::abort();  // what is left of the file stays readable
    check_mapped_files();
    return true;
  } catch (const DataError&) {
    if (fits) std::abort();
    return false;
  }
}

}  // namespace

int main(int count, char** arguments) {
  const int times = count > 1 ? std::atoi(arguments[1]) : 20000;
  generator.seed(count > 2 ? std::atoi(arguments[2]) : 0);
  char path[] = "/tmp/rae-asan-XXXXXX";
  const int fd = mkstemp(path);
  if (fd < 0) return 1;
  close(fd);
  int resampled = 0, mapped = 0;
  for (int i = 0; i < times; i++) resampled += resample_once();
  for (int i = 0; i < times / 10; i++) mapped += map_once(path);
  unlink(path);
  std::printf("%d pictures of %d, %d mapped files of %d went through; the others were refused\n", resampled, times, mapped, times / 10);
}
