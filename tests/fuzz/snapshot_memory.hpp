// How much memory a call takes, over all its allocations.
#pragma once

#include <cstddef>

namespace fuzz {

class AllocatedBytes {
 public:
  AllocatedBytes();
  /// Since this was made; what was given back counts too.
  std::size_t so_far() const;

 private:
  std::size_t before_;
};

}  // namespace fuzz
