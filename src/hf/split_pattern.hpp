// Splitting text by a regular expression, as the pre-tokenizers of tokenizer.json do it.
//
// The patterns are written for Oniguruma and run on PCRE2. The two agree on what the patterns of the supported models
// use, once `\s` is spelled out (PCRE2 counts U+180E as a space); everything on which they could differ is refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch::hf::impl {

/// The pattern in PCRE2's words. Throws `unsupported`, starting with `where` and naming the construct.
std::string translate_pattern(std::string_view pattern, const std::string& where);

/// Takes the pieces of a text, in order.
class SplitPattern {
 public:
  /// Throws `unsupported` for constructs that are not known to mean the same, `bad_file` for a broken pattern.
  SplitPattern(std::string_view pattern, const std::string& where);
  /// Matches this text literally.
  static SplitPattern literal(std::string_view text, const std::string& where);
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;
  ~SplitPattern();

  /// Calls `take(piece)` for each match and each stretch between matches, in order; together they are `text`. Empty
  /// pieces are left out. Requires well-formed UTF-8. Cost: one match per piece. Safe from several threads.
  template <class Take>
  void split(std::string_view text, Take take) const {
    Cursor cursor(*this);
    std::size_t done = 0;
    for (std::size_t from = 0, begin = 0, end = 0; cursor.next(text, from, begin, end);) {
      if (begin > done) take(text.substr(done, begin - done));
      if (end > begin) take(text.substr(begin, end - begin));
      done = end;
    }
    if (done < text.size()) take(text.substr(done));
  }

 private:
  struct Code;
  explicit SplitPattern(std::unique_ptr<const Code> code);

  /// One walk over a text: holds what PCRE2 writes to.
  class Cursor {
   public:
    explicit Cursor(const SplitPattern& pattern);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    /// Finds the next match from `from` on, which moves behind it; false if there is none.
    bool next(std::string_view text, std::size_t& from, std::size_t& begin, std::size_t& end);

   private:
    const Code* code_;
    void* match_;
  };

  std::unique_ptr<const Code> code_;
};

}  // namespace anabranch::hf::impl
