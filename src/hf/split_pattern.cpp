#include "split_pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <vector>

#include <anabranch/error.hpp>

#include "characters.hpp"
#include "unicode_tables.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {

struct SplitPattern::Code {
  Code(pcre2_code* compiled, bool categories) : code(compiled), has_categories(categories) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
  bool has_categories;
};

namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  const int length = pcre2_get_error_message(code, text, sizeof text);
  return length < 0 ? "error " + std::to_string(code) : std::string(reinterpret_cast<const char*>(text));
}

pcre2_code* compile(const std::string& pattern, const std::string& where) {
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  int problem = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP,
                                   &problem, &offset, context);
  pcre2_compile_context_free(context);
  if (!code)
    fail(Status::bad_file, where, ": pattern cannot be compiled: ", pcre2_message(problem), " at byte ", offset, " of ",
         pattern);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it, matching is only slower
  return code;
}

// Rewrites a pattern construct by construct; what it does not know, it refuses.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  Translation run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\')
        escape(false);
      else if (c == '[')
        char_class();
      else if (c == '(')
        group();
      else if (c == '{')
        interval();
      else if (c == '^' || c == '$' || c == '.')
        refuse(std::string(1, c));
      else
        character();
    }
    if (result_.has_categories)
      for (const CharRange& range : named_) check_stand_ins(range);
    return std::move(result_);
  }

 private:
  static constexpr const char* kSpaces =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  static constexpr const char* kNoSpaces =
      R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

  [[noreturn]] void refuse(const std::string& construct) const {
    fail(Status::unsupported, where_, ": '", construct, "' in the pattern ", pattern_, " is not supported");
  }
  bool has(std::string_view text) const { return pattern_.substr(at_, text.size()) == text; }
  char peek(std::size_t ahead) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  void copy(std::size_t n) {
    result_.pattern += pattern_.substr(at_, n);
    at_ += n;
  }
  void replace(std::size_t n, const std::string& with) {
    result_.pattern += with;
    at_ += n;
  }
  void character() {
    std::size_t end = at_;
    name(next_char(pattern_, end));
    copy(end - at_);
  }

  // Remembers a character, or a range of them, that the pattern names.
  void name(char32_t c) {
    if (in_range_ && !named_.empty())
      named_.back().last = c;
    else
      named_.push_back({c, c});
    in_range_ = false;
  }
  // A character and the one that stands in for it must both be among those that are named, or both not.
  void check_stand_ins(const CharRange& range) const {
    const auto has = [&range](char32_t c) { return c >= range.first && c <= range.last; };
    for (const StandIn& run : kLaterCategory)
      if (has(run.first) != has(run.other) || has(run.last) != has(run.other)) {
        std::string shown;
        append_utf8(range.first, shown);
        append_utf8(U'-', shown);
        append_utf8(range.last, shown);
        refuse(shown + " beside general categories");
      }
  }
  static bool hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

  void escape(bool in_class) {
    const char c = peek(1);
    const auto set = [in_class](const char* ranges) {
      return in_class ? std::string(ranges) : std::string("[") + ranges + "]";
    };
    if (c == 's') return replace(2, set(kSpaces));
    if (c == 'S') return replace(2, set(kNoSpaces));
    if (c == 'd' || c == 'D') {
      result_.has_categories = true;
      return replace(2, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    }
    if (c == 'p' || c == 'P') return property();
    if (c == 'x' || c == 'u') return code_point();
    const bool control = c == 'r' || c == 'n' || c == 't' || c == 'f';
    const bool punctuation = static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f &&
                             !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z');
    if (!control && !punctuation) refuse(std::string("\\") + (c ? std::string(1, c) : ""));
    name(static_cast<unsigned char>(c));
    copy(2);
  }

  // General categories mean the same everywhere; scripts and other properties do not.
  void property() {
    static constexpr std::string_view kCategories =
        " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Cn ";
    const std::size_t close = pattern_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) refuse(std::string(pattern_.substr(at_, 3)));
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    if (!name.empty() && name.front() == '^') name.remove_prefix(1);
    if (name.empty() || name.find(' ') != std::string_view::npos ||
        kCategories.find(std::string(1, ' ').append(name).append(" ")) == std::string_view::npos)
      refuse(std::string(pattern_.substr(at_, close + 1 - at_)));
    result_.has_categories = true;
    copy(close + 1 - at_);
  }

  void code_point() {  // \xHH, \x{H...}, \uHHHH
    const char kind = peek(1);
    const bool braces = kind == 'x' && peek(2) == '{';
    std::size_t n = 0;
    const std::size_t first = braces ? 3 : 2;
    while (hex(peek(first + n)) && (braces || n < (kind == 'x' ? 2u : 4u))) ++n;
    const std::size_t expected = kind == 'x' ? 2 : 4;
    if (braces ? n == 0 || n > 6 || peek(first + n) != '}' : n != expected)
      refuse(std::string(pattern_.substr(at_, first + n)));
    // a bare byte above 0x7f is a byte there and a character here
    if (!braces && kind == 'x' && peek(2) > '7') refuse(std::string(pattern_.substr(at_, 4)));
    const std::string digits(pattern_.substr(at_ + first, n));
    name(static_cast<char32_t>(std::stoul(digits, nullptr, 16)));
    replace(first + n + (braces ? 1 : 0), "\\x{" + digits + "}");
  }

  void char_class() {
    copy(has("[^") ? 2 : 1);
    if (peek(0) == ']') refuse("[]");
    const std::size_t n_outside = named_.size();
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '[') refuse("[ inside a class");
      if (has("&&")) refuse("&&");
      if (pattern_[at_] == '\\') {
        escape(true);
      } else if (pattern_[at_] == '-') {
        in_range_ = named_.size() > n_outside;
        copy(1);
      } else {
        character();
      }
    }
    in_range_ = false;
    if (at_ == pattern_.size()) fail(Status::bad_file, where_, ": unclosed class in the pattern ", pattern_);
    copy(1);
  }

  void group() {
    if (peek(1) == '*') refuse("(*");
    if (peek(1) != '?') return copy(1);
    for (const std::string_view kind : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (has(kind)) return copy(kind.size());
    refuse(std::string(pattern_.substr(at_, 4)));
  }

  void interval() {  // {n}, {n,}, {n,m}; a '+' behind it is no possessive there
    const std::size_t close = pattern_.find('}', at_);
    const std::string_view inside =
        close == std::string_view::npos ? std::string_view() : pattern_.substr(at_ + 1, close - at_ - 1);
    const bool fits = !inside.empty() && inside.front() >= '0' && inside.front() <= '9' &&
                      inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                      inside.find(',') == inside.rfind(',');
    if (!fits) refuse("{");
    if (close + 1 < pattern_.size() && (pattern_[close + 1] == '+' || pattern_[close + 1] == '?'))
      refuse(std::string(pattern_.substr(at_, close + 2 - at_)));
    copy(close + 1 - at_);
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  Translation result_;
  std::vector<CharRange> named_;
  bool in_range_ = false;  ///< a '-' inside a class came last
};

bool needs_stand_ins(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0xe0) {  // the table begins above U+0800
      ++i;
      continue;
    }
    const char32_t c = next_char(text, i);
    if (stand_in(c) != c) return true;
  }
  return false;
}

std::string with_stand_ins(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) append_utf8(stand_in(next_char(text, i)), out);
  return out;
}

}  // namespace

Translation translate_pattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

SplitPattern::SplitPattern(std::string_view pattern, const std::string& where) {
  const Translation translation = translate_pattern(pattern, where);
  code_ = std::make_unique<const Code>(compile(translation.pattern, where), translation.has_categories);
}
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;
SplitPattern::~SplitPattern() = default;

bool SplitPattern::matches_empty() const noexcept {
  std::uint32_t might = 1;
  return pcre2_pattern_info(code_->code, PCRE2_INFO_MATCHEMPTY, &might) != 0 || might != 0;
}

SplitPattern::Cursor::Cursor(const SplitPattern& pattern, std::string_view text)
    : code_(pattern.code_.get()), text_(text), match_(pcre2_match_data_create(1, nullptr)) {
  if (!match_) throw std::bad_alloc();
  if (!code_->has_categories || !needs_stand_ins(text)) return;
  replaced_ = with_stand_ins(text);
  text_ = replaced_;
}

SplitPattern::Cursor::~Cursor() { pcre2_match_data_free(static_cast<pcre2_match_data*>(match_)); }

bool SplitPattern::Cursor::match(std::size_t& begin, std::size_t& end) const {
  auto* match = static_cast<pcre2_match_data*>(match_);
  // A null pointer is refused even with length 0.
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.empty() ? "" : text_.data());
  int result = pcre2_match(code_->code, subject, text_.size(), from_, PCRE2_NO_UTF_CHECK, match, nullptr);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT)
    result = pcre2_match(code_->code, subject, text_.size(), from_, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, nullptr);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
  if (result < 0) fail(Status::limit_reached, "splitting the text by the tokenizer's pattern: ", pcre2_message(result));
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
  begin = bounds[0];
  end = bounds[1];
  return true;
}

bool SplitPattern::Cursor::next(std::size_t& begin, std::size_t& end) {
  while (from_ <= text_.size()) {
    if (!match(begin, end)) return false;
    from_ = end;
    if (begin < end || end != last_end_) {
      last_end_ = end;
      return true;
    }
    if (from_ < text_.size())
      next_char(text_, from_);
    else
      ++from_;
  }
  return false;
}

}  // namespace anabranch::hf::impl
