#include "normalizer.hpp"

#include <algorithm>
#include <utility>

#include "byte_level.hpp"
#include "characters.hpp"
#include "known_keys.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

// A file must not make much of a little text: each added token is normalised while it is read.
constexpr std::size_t kMaxReplacement = 64;
constexpr std::size_t kMaxGrowth = 24;
constexpr std::size_t kMaxNormalizerSteps = 8;

std::size_t first_length(const std::string& text) {
  std::size_t end = 0;
  if (!text.empty()) next_char(text, end);
  return end;
}

// A changed text, whose first character alone is known to come from the first one of the input.
OwnedPiece changed(const OwnedPiece& before, std::string text) {
  const std::size_t n_first = before.n_first > 0 ? first_length(text) : 0;
  return {std::move(text), n_first, before.goes_on};
}

}  // namespace

OwnedPiece replaced(const Matcher& matcher, std::string_view by, const Piece& piece) {
  OwnedPiece out;
  out.goes_on = piece.goes_on;
  std::size_t done = 0;
  const auto keep = [&](std::size_t end) {
    out.text += piece.text.substr(done, end - done);
    out.n_first += part_of(piece, done, end).n_first;
    done = end;
  };
  matcher.find_matches(piece.text, [&](std::size_t begin, std::size_t end) {
    keep(begin);
    out.text += by;
    if (end == 0 || end - 1 < piece.n_first) out.n_first += by.size();  // it stands where its last character stood
    done = end;
  });
  keep(piece.text.size());
  return out;
}

OwnedPiece prefixed(std::string_view text, const Piece& piece) {
  OwnedPiece out{std::string(text), piece.n_first > 0 ? piece.n_first + text.size() : 0};
  out.text += piece.text;
  return out;
}

void Normalizer::add(const JsonObject& json) {
  const std::string type = json.text("type");
  if (type == "Sequence") {
    only_keys(json, {"type", "normalizers"});
    const Json& steps = json.array("normalizers");
    for (std::size_t i = 0; i < steps.size(); ++i)
      add(JsonObject(steps[i], json.where() + ": 'normalizers' " + std::to_string(i)));
  } else if (type == "Prepend") {
    only_keys(json, {"type", "prepend"});
    std::string text = json.text("prepend");
    if (text.empty()) json.unsupported("prepend", "an empty text is not supported");
    if (text.size() > kMaxReplacement)
      json.unsupported("prepend", "more than " + std::to_string(kMaxReplacement) + " bytes are not supported");
    steps_.emplace_back(Prepend{std::move(text)});
  } else if (type == "Replace") {
    add_replace(json);
  } else if (type == "Strip") {
    only_keys(json, {"type", "strip_left", "strip_right"});
    steps_.emplace_back(Strip{required_flag(json, "strip_left"), required_flag(json, "strip_right")});
  } else if (!add_form(json, type)) {
    refuse_type(json, type,
                {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Replace", "Strip", "ByteLevel", "Sequence"});
  }
  if (steps_.size() > kMaxNormalizerSteps)
    fail(Status::unsupported, json.where(), ": more than ", kMaxNormalizerSteps, " steps are not supported");
}

void Normalizer::add_replace(const JsonObject& json) {
  only_keys(json, {"type", "pattern", "content"});
  Replace step{Matcher::of(json), json.text("content")};
  // The reference mixes up what follows.
  if (step.matcher.matches_empty()) json.unsupported("pattern", "one that matches an empty text is not supported");
  if (step.by.size() > kMaxReplacement)
    json.unsupported("content", "more than " + std::to_string(kMaxReplacement) + " bytes are not supported");
  steps_.push_back(std::move(step));
}

bool Normalizer::add_form(const JsonObject& json, const std::string& type) {
  const auto take = [&](const char* name, Step step) {
    if (type != name) return false;
    only_keys(json, {"type"});
    steps_.push_back(std::move(step));
    moves_beginning_ = name;
    return true;
  };
  return take("NFC", NormalForm::nfc) || take("NFD", NormalForm::nfd) || take("NFKC", NormalForm::nfkc) ||
         take("NFKD", NormalForm::nfkd) || take("Lowercase", Lowercase{}) || take("ByteLevel", ByteAlphabet{});
}

OwnedPiece Normalizer::apply(NormalForm form, const OwnedPiece& piece) {
  return changed(piece, normal_form(piece.text, form));
}

OwnedPiece Normalizer::apply(const Lowercase&, const OwnedPiece& piece) {
  std::string text;
  text.reserve(piece.text.size());
  for (std::size_t i = 0; i < piece.text.size();) append_lower(next_char(piece.text, i), text);
  return changed(piece, std::move(text));
}

OwnedPiece Normalizer::apply(const ByteAlphabet&, const OwnedPiece& piece) {
  return changed(piece, bytes_to_alphabet(piece.text));
}

OwnedPiece Normalizer::apply(const Prepend& step, const OwnedPiece& piece) {
  return piece.text.empty() || piece.goes_on ? piece : prefixed(step.text, view_of(piece));
}

OwnedPiece Normalizer::apply(const Replace& step, const OwnedPiece& piece) {
  return replaced(step.matcher, step.by, view_of(piece));
}

OwnedPiece Normalizer::apply(const Strip& step, const OwnedPiece& piece) {
  std::size_t begin = 0, end = piece.text.size();
  if (step.left && !piece.goes_on) begin = leading_space(piece.text);
  if (step.right) end = std::max(begin, trailing_space(piece.text));
  const Piece part = part_of(view_of(piece), begin, end);
  return {std::string(part.text), part.n_first, part.goes_on};
}

OwnedPiece Normalizer::operator()(const Piece& piece) const {
  OwnedPiece out{std::string(piece.text), piece.n_first, piece.goes_on};
  for (const Step& step : steps_) {
    out = std::visit([&out](const auto& kind) { return apply(kind, out); }, step);
    if (out.text.size() > kMaxReplacement + kMaxGrowth * piece.text.size())
      fail(Status::limit_reached, "normalising a text of ", piece.text.size(), " bytes: it becomes one of ",
           out.text.size());
  }
  return out;
}

}  // namespace anabranch::hf::impl
