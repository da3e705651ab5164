// TextStream: the bytes of one branch on their way to the reader. It lets out whole UTF-8 characters only, and holds
// back whatever may still become a stop string.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <anabranch/utf8.hpp>

namespace anabranch {

namespace impl {

/// Moves whole characters from the front of `bytes` to the result; U+FFFD replaces bytes that are none.
inline std::string take_characters(std::string_view& bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Piece piece = first_utf8_piece(bytes);
    if (piece.kind == Utf8Piece::Kind::unfinished) break;
    text += piece.kind == Utf8Piece::Kind::whole ? bytes.substr(0, piece.n_bytes) : std::string_view("\xef\xbf\xbd");
    bytes.remove_prefix(piece.n_bytes);
  }
  return text;
}

}  // namespace impl

class TextStream {
 public:
  /// Adds sampled bytes; returns the text that became printable. At the first stop string the text is cut before it and
  /// the stream stops: nothing comes out any more.
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
  /// Adds bytes that the model did not choose. A stop string does not match across them.
  std::string push_forced(std::string_view bytes) {
    if (stopped_) return {};
    held_ += bytes;
    return release(held_.size());
  }
  /// Lets out all held bytes; an unfinished character becomes U+FFFD.
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
