// MarkupKind: names the markups that come with the library, where a file or an option has to name one.
#pragma once

#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch {

enum class MarkupKind : std::uint8_t {
  serial,    ///< markup/serial.hpp
  skeleton,  ///< markup/skeleton.hpp
  aspd,      ///< markup/aspd.hpp
};

}  // namespace anabranch
