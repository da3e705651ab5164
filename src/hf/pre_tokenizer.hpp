// The steps that cut a text into words, before byte pair encoding works inside each word.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json_file.hpp"
#include "matcher.hpp"
#include "metaspace.hpp"
#include "pieces.hpp"

namespace anabranch::hf::impl {

class PreTokenizer {
 public:
  /// Takes a text as one word.
  PreTokenizer() = default;
  /// From the `pre_tokenizer` of tokenizer.json. Throws `unsupported` or `bad_file`. `moves_beginning`: see Normalizer.
  PreTokenizer(const JsonObject& json, const char* moves_beginning);

  /// Are the words' bytes to be written in the byte alphabet? The last step is left to whoever takes the words.
  bool ends_in_bytes() const noexcept { return ends_in_bytes_; }

  /// Calls `take(word)` for every word of a text, in order. None is empty.
  template <class Take>
  void split(const Piece& text, const Take& take) const {
    if (!text.text.empty()) run(0, text, take);
  }

 private:
  struct Split {
    Matcher matcher;
    Delimiters delimiters;
    bool invert;
  };
  struct Words {};         ///< runs of word characters, and of others that are no white space
  struct PrefixSpace {};   ///< a piece that does not start with a space gets one, unless it goes on
  struct ByteAlphabet {};  ///< as the last step: ends_in_bytes
  using Step = std::variant<Split, Words, PrefixSpace, ByteAlphabet, Metaspace>;

  void add(const JsonObject& json);
  bool add_simple(const JsonObject& json, const std::string& type);
  void add_byte_level(const JsonObject& json);
  void add_metaspace(const JsonObject& json);
  void add_kind(Matcher::IsOfKind kind, Delimiters delimiters);
  static OwnedPiece with_space(const Piece& piece);
  static OwnedPiece in_alphabet(const Piece& piece);
  static OwnedPiece in_metaspace(const Metaspace& step, const Piece& piece);
  static std::size_t end_of_word(std::string_view text, std::size_t begin);

  template <class Take>
  void run(std::size_t step, const Piece& piece, const Take& take) const {
    if (step == steps_.size()) return take(piece.text);
    const auto next = [&](std::size_t begin, std::size_t end) { run(step + 1, part_of(piece, begin, end), take); };
    const auto with = [&](const OwnedPiece& changed) { run(step + 1, view_of(changed), take); };
    if (const auto* split = std::get_if<Split>(&steps_[step])) return cut(*split, piece.text, next);
    if (std::holds_alternative<Words>(steps_[step])) return cut_words(piece.text, next);
    if (std::holds_alternative<ByteAlphabet>(steps_[step])) return with(in_alphabet(piece));
    if (const auto* metaspace = std::get_if<Metaspace>(&steps_[step])) return with(in_metaspace(*metaspace, piece));
    if (piece.text.starts_with(' ') || piece.goes_on) return run(step + 1, piece, take);
    with(with_space(piece));
  }

  template <class Next>
  static void cut(const Split& step, std::string_view text, const Next& next) {
    if (step.delimiters == Delimiters::isolated) return cut_at_matches(step, text, next);
    Joiner<Next> joiner(step.delimiters, next);
    std::size_t done = 0;
    step.matcher.find_matches(text, [&](std::size_t begin, std::size_t end) {
      if (begin > done) joiner.add(done, begin, step.invert);
      joiner.add(begin, end, !step.invert);
      done = end;
    });
    if (done < text.size()) joiner.add(done, text.size(), step.invert);
    joiner.flush();
  }

  template <class Next>
  static void cut_at_matches(const Split& step, std::string_view text, const Next& next) {
    std::size_t done = 0;
    step.matcher.find_matches(text, [&](std::size_t begin, std::size_t end) {
      if (begin > done) next(done, begin);
      if (end > begin) next(begin, end);
      done = end;
    });
    if (done < text.size()) next(done, text.size());
  }

  template <class Next>
  static void cut_words(std::string_view text, const Next& next) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = end_of_word(text, begin);
      if (std::size_t after = begin; end > begin)
        next(begin, end), begin = end;
      else
        next_char(text, after), begin = after;
    }
  }

  std::vector<Step> steps_;
  const char* moves_beginning_ = nullptr;
  bool cuts_ = false;  ///< a step so far cuts the text
  bool ends_in_bytes_ = false;
};

}  // namespace anabranch::hf::impl
