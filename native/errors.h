// The exceptions that become JavaScript errors of the same names (napi_util.cc), free of Node and libtorch.
#pragma once

#include <stdexcept>

namespace rae {

/** Thrown by argument checks. */
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** Thrown when a handle names a tensor that was freed. */
struct DisposedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** Thrown when a file cannot be read or written, or does not hold what it should. */
struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace rae
