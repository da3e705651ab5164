// Splitting text by a regular expression, as the pre-tokenizers of tokenizer.json do it.
//
// The patterns are written for Oniguruma and run on PCRE2. The two agree on what the patterns of the supported models
// use, once `\s` is spelled out (PCRE2 counts U+180E as a space) and characters that are newer than PCRE2's Unicode are
// replaced by others of their general category and length; everything on which they could differ is refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// The pattern in PCRE2's words.
struct Translation {
  std::string pattern;
  bool has_categories = false;  ///< asks for general categories of characters
};
/// Throws `unsupported`, starting with `where` and naming the construct.
Translation translate_pattern(std::string_view pattern, const std::string& where);

/// Finds the matches in a text, in order.
class SplitPattern {
 public:
  /// Throws `unsupported` for constructs that are not known to mean the same, `bad_file` for a broken pattern.
  SplitPattern(std::string_view pattern, const std::string& where);
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;
  ~SplitPattern();

  /// May it match an empty text?
  bool matches_empty() const noexcept;
  /// Calls `take(begin, end)` for each match. Empty ones count, but not right behind another match. Requires
  /// well-formed UTF-8. Cost: one match per call. Safe from several threads.
  template <class Take>
  void find_matches(std::string_view text, const Take& take) const {
    Cursor cursor(*this, text);
    for (std::size_t begin = 0, end = 0; cursor.next(begin, end);) take(begin, end);
  }

 private:
  struct Code;

  /// One walk over a text: holds what PCRE2 writes to.
  class Cursor {
   public:
    Cursor(const SplitPattern& pattern, std::string_view text);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    /// Finds the next match; false if there is none.
    bool next(std::size_t& begin, std::size_t& end);

   private:
    bool match(std::size_t& begin, std::size_t& end) const;
    const Code* code_;
    std::string replaced_;  ///< the text with stand-ins, if it has characters that need one
    std::string_view text_;
    void* match_;
    std::size_t from_ = 0;
    std::size_t last_end_ = std::string_view::npos;
  };

  std::unique_ptr<const Code> code_;
};

}  // namespace anabranch::hf::impl
