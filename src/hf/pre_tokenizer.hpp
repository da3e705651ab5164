// The steps that cut a text into words, before byte pair encoding works inside each word.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json_file.hpp"
#include "split_pattern.hpp"

namespace anabranch::hf::impl {

class PreTokenizer {
 public:
  /// From the `pre_tokenizer` of tokenizer.json, which must end in a ByteLevel step. Throws `unsupported` or
  /// `bad_file`.
  explicit PreTokenizer(const JsonObject& json);

  /// Calls `take(word)` for every word of a text, in order.
  template <class Take>
  void split(std::string_view text, const Take& take) const {
    run(0, text, take);
  }

 private:
  struct PrefixSpace {};  ///< a piece that does not start with a space gets one
  using Step = std::variant<SplitPattern, PrefixSpace>;

  void add(const JsonObject& json);
  void add_split(const JsonObject& json);

  template <class Take>
  void run(std::size_t step, std::string_view piece, const Take& take) const {
    if (step == steps_.size()) return take(piece);
    if (const auto* pattern = std::get_if<SplitPattern>(&steps_[step]))
      return pattern->split(piece, [&](std::string_view part) { run(step + 1, part, take); });
    if (piece.substr(0, 1) == " ") return run(step + 1, piece, take);
    const std::string spaced = std::string(1, ' ').append(piece);
    run(step + 1, spaced, take);
  }

  std::vector<Step> steps_;
  bool byte_level_ = false;  ///< the last step has been seen
};

}  // namespace anabranch::hf::impl
