// A stretch of a text, in bytes.
#pragma once

#include <cstddef>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// [begin, end).
struct TextRange {
  std::size_t begin = 0, end = 0;
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

}  // namespace anabranch::hf
