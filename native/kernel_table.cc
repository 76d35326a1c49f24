// Chooses the kernels for the processor, as libtorch chooses its own: ATEN_CPU_CAPABILITY=default or avx2 holds both back.
#include "kernels/kernels.h"

#include <ATen/Version.h>

#include <string>

namespace rae::kernels {

namespace baseline {
extern const Table kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Table kTable;
}
namespace avx512 {
extern const Table kTable;
}
#endif

const Table& table() {
#if defined(__x86_64__)
  static const Table& chosen = [&]() -> const Table& {
    const std::string capability = at::get_cpu_capability();
    if (capability.starts_with("AVX512")) return avx512::kTable;
    return capability == "AVX2" ? avx2::kTable : baseline::kTable;
  }();
  return chosen;
#else
  return baseline::kTable;
#endif
}

}  // namespace rae::kernels
