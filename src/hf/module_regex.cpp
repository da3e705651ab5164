#include "module_regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <charconv>
#include <new>
#include <vector>

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {
namespace {

constexpr std::uint32_t kMatchSteps = 1'000'000;  ///< of one match; a sane expression takes some hundred
constexpr std::size_t kLongestExpression = 10'000;

bool is_letter_or_digit(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Walks over an expression and stops at the first construct that Python and PCRE2 may read differently.
class RegexCheck {
 public:
  RegexCheck(std::string_view expression, const std::string& where) : text_(expression), where_(where) {}

  void run() {
    if (text_.size() > kLongestExpression)
      fail(Status::unsupported, where_, ": expected a regular expression of at most ", kLongestExpression,
           " bytes, found ", text_.size());
    while (at_ < text_.size()) construct();
    if (!open_.empty()) refuse("(");
  }

 private:
  [[noreturn]] void refuse(std::string_view construct) const {
    fail(Status::unsupported, where_, ": '", construct, "' in the regular expression \"", text_,
         "\" is not supported; supported are letters, digits, . * + ? {n,m} ^ $ | [...] ( (?: (?P<name> (?= (?! and "
         "\\d \\w \\s \\b");
  }
  char peek(std::size_t ahead) const noexcept { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool has(std::string_view what) const noexcept { return text_.substr(at_, what.size()) == what; }

  void construct() {
    const char c = text_[at_];
    switch (c) {
      case '\\': return escape();
      case '[': return char_class();
      case '(': return open_group();
      case ')': return close_group();
      case '{': return interval();
      case '*':
      case '+':
      case '?': return repeat(1);
      case '^':
      case '$':
      case '|':
        ++at_;
        repeatable_ = false;
        return;
      default: break;
    }
    if (c < ' ' || c > '~') refuse("a character that is not printable ASCII");
    ++at_;
    repeatable_ = true;
  }

  void escape() {
    const char c = peek(1);
    if (c < ' ' || c > '~' || (is_letter_or_digit(c) && std::string_view("dDwWsSbB").find(c) == std::string_view::npos))
      refuse(text_.substr(at_, 2));
    repeatable_ = c != 'b' && c != 'B';
    at_ += 2;
  }

  /// Ranges between plain characters, and classes by escape; nothing that either side reads as more.
  void char_class() {
    const std::size_t begin = at_++;
    if (peek(0) == '^') ++at_;
    if (peek(0) == ']') refuse(text_.substr(begin, at_ + 1 - begin));
    for (bool after_class = false; peek(0) != ']';) {
      const char c = peek(0);
      if (c < ' ' || c > '~' || c == '[' ||
          (c == peek(1) && std::string_view("-&|~").find(c) != std::string_view::npos))
        refuse(text_.substr(begin, at_ + 2 - begin));
      if (after_class && c == '-' && peek(1) != ']') refuse(text_.substr(begin, at_ + 2 - begin));
      after_class = false;
      if (c == '\\') {
        const char escaped = peek(1);
        after_class = is_letter_or_digit(escaped);
        if (escaped < ' ' || escaped > '~' ||
            (after_class && std::string_view("dDwWsS").find(escaped) == std::string_view::npos))
          refuse(text_.substr(at_, 2));
        ++at_;
      } else if (c == '-' && peek(1) == '\\' && is_letter_or_digit(peek(2))) {
        refuse(text_.substr(at_, 3));
      }
      ++at_;
    }
    ++at_;
    repeatable_ = true;
  }

  void open_group() {
    std::size_t length = 1;
    bool looks_ahead = false;
    if (has("(?P<")) {
      length = 4;
      while (is_letter_or_digit(peek(length)) || peek(length) == '_') ++length;
      if (length == 4 || length > 32 || peek(length) != '>' || (peek(4) >= '0' && peek(4) <= '9'))
        refuse(text_.substr(at_, length + 1));
      ++length;
    } else if (has("(?:")) {
      length = 3;
    } else if (has("(?=") || has("(?!")) {
      length = 3;
      looks_ahead = true;
    } else if (peek(1) == '?' || peek(1) == '*') {
      refuse(text_.substr(at_, 4));
    }
    open_.push_back(looks_ahead);
    if (open_.size() > 50) refuse("more than 50 open groups");
    at_ += length;
    repeatable_ = false;
  }

  void close_group() {
    if (open_.empty()) refuse(")");
    repeatable_ = !open_.back();
    open_.pop_back();
    ++at_;
  }

  void interval() {
    const std::size_t close = text_.find('}', at_);
    const std::string_view whole = text_.substr(at_, close == std::string_view::npos ? 1 : close + 1 - at_);
    if (whole.size() < 3) refuse(whole);
    const std::string_view inside = whole.substr(1, whole.size() - 2);
    const std::size_t comma = inside.find(',');
    const auto counts = [&](std::string_view digits) {
      int n = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
      if (error != std::errc() || end != digits.data() + digits.size() || n < 0 || n > 1000) refuse(whole);
    };
    counts(inside.substr(0, comma));
    if (comma != std::string_view::npos && comma + 1 < inside.size()) counts(inside.substr(comma + 1));
    repeat(whole.size());
  }

  void repeat(std::size_t length) {
    if (!repeatable_) refuse(text_.substr(at_, length));
    at_ += length;
    if (peek(0) == '?') ++at_;
    repeatable_ = false;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  bool repeatable_ = false;
  std::vector<bool> open_;  ///< groups; true: one that looks ahead
};

}  // namespace

struct ModuleRegex::Code {
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
};

struct ModuleRegex::Match {
  struct Free {
    void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
  };
  std::unique_ptr<pcre2_match_data, Free> data;
  bool found = false;
};

ModuleRegex::ModuleRegex(const std::string& expression, const std::string& where, RegexFrame frame)
    : code_(std::make_unique<Code>()), expression_(expression), where_(where) {
  RegexCheck(expression_, where_).run();
  const std::string whole = frame.before + expression_ + frame.after;
  int problem = 0;
  PCRE2_SIZE offset = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()), whole.size(), 0, &problem, &offset, nullptr);
  if (code_->code == nullptr) {
    PCRE2_UCHAR text[256];
    const bool known = pcre2_get_error_message(problem, text, sizeof text) >= 0;
    fail(Status::bad_file, where_, ": expected a regular expression, found \"", expression_,
         "\": ", (known ? reinterpret_cast<const char*>(text) : "it cannot be compiled"));
  }
  code_->limits = pcre2_match_context_create(nullptr);
  if (code_->limits == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(code_->limits, kMatchSteps);
}

ModuleRegex::ModuleRegex(ModuleRegex&&) noexcept = default;
ModuleRegex& ModuleRegex::operator=(ModuleRegex&&) noexcept = default;
ModuleRegex::~ModuleRegex() = default;

ModuleRegex::Match ModuleRegex::match(std::string_view path, bool whole) const {
  Match result;
  result.data.reset(pcre2_match_data_create_from_pattern(code_->code, nullptr));
  if (!result.data) throw std::bad_alloc();
  const std::uint32_t options = PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0u);
  const int count = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, options,
                                result.data.get(), code_->limits);
  if (count < 0 && count != PCRE2_ERROR_NOMATCH)
    fail(Status::unsupported, where_, ": the regular expression \"", expression_, "\" takes more than ", kMatchSteps,
         " steps on \"", path, "\"");
  result.found = count >= 0;
  return result;
}

bool ModuleRegex::matches_start(std::string_view path) const { return match(path, false).found; }
bool ModuleRegex::matches_all(std::string_view path) const { return match(path, true).found; }

std::optional<std::string> ModuleRegex::group(std::string_view path, const char* name) const {
  const Match found = match(path, false);
  if (!found.found) return std::nullopt;
  const int number = pcre2_substring_number_from_name(code_->code, reinterpret_cast<PCRE2_SPTR>(name));
  if (number < 0) return std::nullopt;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(found.data.get()) + 2 * number;
  if (ends[0] == PCRE2_UNSET) return std::nullopt;
  return std::string(path.substr(ends[0], ends[1] - ends[0]));
}

bool is_module_path(std::string_view text) noexcept {
  bool after_dot = true;
  for (const char c : text) {
    if (c == '.' ? after_dot : !is_letter_or_digit(c) && c != '_') return false;
    after_dot = c == '.';
  }
  return !after_dot;
}

}  // namespace anabranch::hf::impl
