// One sequence's bytes on their way to the reader: whole UTF-8 characters only, and nothing that may yet turn out to be
// the start of a stop string.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace anabranch {

namespace impl {

/// Length of the UTF-8 character at the front of `text` (RFC 3629); 0: it may become one with more bytes; negative:
/// that many bytes are no character (maximal subpart, as Unicode recommends for replacement).
constexpr int utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const int n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (int i = 1; i < n; ++i) {
    if (static_cast<std::size_t>(i) == text.size()) return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (i == 1 && lead == 0xe0) low = 0xa0;
    if (i == 1 && lead == 0xed) high = 0x9f;
    if (i == 1 && lead == 0xf0) low = 0x90;
    if (i == 1 && lead == 0xf4) high = 0x8f;
    const unsigned char next = byte(static_cast<std::size_t>(i));
    if (next < low || next > high) return -i;
  }
  return n;
}

/// Moves whole characters from the front of `bytes` to the result; U+FFFD stands for bytes that are none.
inline std::string take_characters(std::string_view& bytes) {
  std::string text;
  while (!bytes.empty()) {
    const int n = utf8_length(bytes);
    if (n == 0) break;
    if (n > 0) text += bytes.substr(0, static_cast<std::size_t>(n));
    if (n < 0) text += "\xef\xbf\xbd";
    bytes.remove_prefix(static_cast<std::size_t>(n > 0 ? n : -n));
  }
  return text;
}

}  // namespace impl

class TextStream {
 public:
  /// Adds sampled bytes; returns what became printable. At the first stop string the text is cut before it and the
  /// stream is stopped: nothing comes out any more.
  std::string push(std::string_view bytes, std::span<const std::string> stops) {
    if (stopped_) return {};
    held_ += bytes;
    const std::size_t stop = find_stop(stops);
    if (stop != std::string::npos) {
      held_.resize(stop);
      std::string text = flush();
      stopped_ = true;
      return text;
    }
    return release(held_.size() - n_stop_prefix(stops));
  }
  /// Adds bytes that were not the model's choice: they end what a stop string could have matched.
  std::string push_forced(std::string_view bytes) {
    if (stopped_) return {};
    held_ += bytes;
    return release(held_.size());
  }
  /// Lets go of what is held; an unfinished character becomes U+FFFD.
  std::string flush() {
    std::string_view rest = held_;
    std::string text = impl::take_characters(rest);
    if (!rest.empty()) text += "\xef\xbf\xbd";
    held_.clear();
    return text;
  }
  bool stopped() const noexcept { return stopped_; }

 private:
  std::string release(std::size_t n) {
    std::string_view bytes = std::string_view(held_).substr(0, n);
    std::string text = impl::take_characters(bytes);
    held_.erase(0, n - bytes.size());
    return text;
  }
  std::size_t find_stop(std::span<const std::string> stops) const {
    std::size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, held_.find(stop));
    return first;
  }
  /// Length of the longest end of the held bytes that starts a stop string.
  std::size_t n_stop_prefix(std::span<const std::string> stops) const {
    std::size_t longest = 0;
    for (const std::string& stop : stops)
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n)
        if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) longest = n;
    return longest;
  }

  std::string held_;
  bool stopped_ = false;
};

}  // namespace anabranch
