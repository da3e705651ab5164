// The mark that editors of other systems put in front of a text in UTF-8, which is none of the text.
#pragma once

#include <string>
#include <string_view>

namespace example {

/// Takes it away from the beginning of a text.
inline void drop_byte_order_mark(std::string& text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) text.erase(0, kMark.size());
}

}  // namespace example
