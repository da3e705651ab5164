#include "pre_tokenizer.hpp"

#include "byte_level.hpp"
#include "characters.hpp"
#include "known_keys.hpp"
#include "normalizer.hpp"

namespace anabranch::hf::impl {
namespace {

// GPT-2's words: contractions, letters, numbers and other signs with one leading space each, and white space.
constexpr const char* kWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// A compiled pattern is larger than its text: a file must not ask for thousands.
constexpr std::size_t kMaxSteps = 64;

Delimiters delimiters_of(const JsonObject& json) {
  const std::string name = json.text("behavior");
  if (name == "Removed") return Delimiters::removed;
  if (name == "Isolated") return Delimiters::isolated;
  if (name == "MergedWithPrevious") return Delimiters::merged_with_previous;
  if (name == "MergedWithNext") return Delimiters::merged_with_next;
  if (name == "Contiguous") return Delimiters::contiguous;
  json.unsupported("behavior",
                   "\"" + name + "\" is not supported; supported are " +
                       listed({"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}));
}

enum class CharKind : std::uint8_t { word, other, space };

CharKind kind_of(char32_t c) {
  return is_word(c) ? CharKind::word : is_white_space(c) ? CharKind::space : CharKind::other;
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonObject& json, const char* moves_beginning) : moves_beginning_(moves_beginning) {
  add(json);
  if (steps_.empty() || !std::holds_alternative<ByteAlphabet>(steps_.back())) return;
  steps_.pop_back();
  ends_in_bytes_ = true;
}

void PreTokenizer::add(const JsonObject& json) {
  const std::string type = json.text("type");
  if (type == "Sequence") {
    only_keys(json, {"type", "pretokenizers"});
    const Json& steps = json.array("pretokenizers");
    for (std::size_t i = 0; i < steps.size(); ++i)
      add(JsonObject(steps[i], json.where() + ": 'pretokenizers' " + std::to_string(i)));
  } else if (type == "ByteLevel") {
    add_byte_level(json);
  } else if (type == "Metaspace") {
    add_metaspace(json);
  } else if (type == "Split") {
    only_keys(json, {"type", "pattern", "behavior", "invert"});
    const Delimiters delimiters = delimiters_of(json);
    steps_.emplace_back(Split{Matcher::of(json), delimiters, json.flag_or("invert", false)});
    cuts_ = true;
  } else if (!add_simple(json, type)) {
    refuse_type(
        json, type,
        {"ByteLevel", "Metaspace", "Split", "Punctuation", "Digits", "Whitespace", "WhitespaceSplit", "Sequence"});
  }
  if (steps_.size() > kMaxSteps)
    fail(Status::unsupported, json.where(), ": more than ", kMaxSteps, " steps are not supported");
}

void PreTokenizer::add_kind(Matcher::IsOfKind kind, Delimiters delimiters) {
  steps_.emplace_back(Split{Matcher(kind), delimiters, false});
}

bool PreTokenizer::add_simple(const JsonObject& json, const std::string& type) {
  if (type == "Digits") {
    only_keys(json, {"type", "individual_digits"});
    add_kind(is_numeric, json.flag_or("individual_digits", false) ? Delimiters::isolated : Delimiters::contiguous);
  } else if (type == "Punctuation") {
    only_keys(json, {"type", "behavior"});
    add_kind(is_punctuation, json.find("behavior") ? delimiters_of(json) : Delimiters::isolated);
  } else if (type == "WhitespaceSplit") {
    only_keys(json, {"type"});
    add_kind(is_white_space, Delimiters::removed);
  } else if (type == "Whitespace") {
    only_keys(json, {"type"});
    steps_.emplace_back(Words{});
  } else {
    return false;
  }
  cuts_ = true;
  return true;
}

void PreTokenizer::add_byte_level(const JsonObject& json) {
  only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (json.flag_or("add_prefix_space", true)) steps_.emplace_back(PrefixSpace{});
  if (json.flag_or("use_regex", true)) {
    steps_.emplace_back(Split{Matcher(SplitPattern(kWords, json.where())), Delimiters::isolated, false});
    cuts_ = true;
  }
  steps_.emplace_back(ByteAlphabet{});
  moves_beginning_ = "ByteLevel";
}

void PreTokenizer::add_metaspace(const JsonObject& json) {
  Metaspace step = Metaspace::of(json);
  if (step.prefix == Metaspace::Prefix::first && cuts_ && moves_beginning_)
    json.unsupported("prepend_scheme",
                     std::string("\"first\" is not supported after a step that cuts the text and ") + moves_beginning_);
  Split split{Matcher(step.replacement), Delimiters::merged_with_next, false};
  const bool splits = step.split;
  steps_.emplace_back(std::move(step));
  if (!splits) return;
  steps_.emplace_back(std::move(split));
  cuts_ = true;
}

OwnedPiece PreTokenizer::with_space(const Piece& piece) { return prefixed(" ", piece); }

OwnedPiece PreTokenizer::in_alphabet(const Piece& piece) {
  return {bytes_to_alphabet(piece.text), piece.n_first > 0 ? std::size_t{1} : 0, piece.goes_on};
}

OwnedPiece PreTokenizer::in_metaspace(const Metaspace& step, const Piece& piece) {
  static const Matcher kBlank{std::string(" ")};
  OwnedPiece out = replaced(kBlank, step.replacement, piece);
  const bool wanted =
      step.prefix == Metaspace::Prefix::always || (step.prefix == Metaspace::Prefix::first && out.n_first > 0);
  if (!wanted || piece.goes_on || out.text.starts_with(step.replacement)) return out;
  return prefixed(step.replacement, view_of(out));
}

// Where the run of characters of one kind that begins there ends; `begin` itself if it is white space.
std::size_t PreTokenizer::end_of_word(std::string_view text, std::size_t begin) {
  std::size_t end = begin, after = begin;
  const CharKind kind = kind_of(next_char(text, after));
  if (kind == CharKind::space) return begin;
  do {
    end = after;
  } while (end < text.size() && kind_of(next_char(text, after)) == kind);
  return end;
}

}  // namespace anabranch::hf::impl
