#include "text_decoder.hpp"

#include <algorithm>
#include <utility>

#include <anabranch/utf8.hpp>

#include "byte_level.hpp"
#include "known_keys.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

// A file must not make much of a little text: every token is decoded while it is read.
constexpr std::size_t kMaxDecoderSteps = 8;
constexpr std::size_t kMaxDecoded = 16;
constexpr std::size_t kMaxDecodedGrowth = 4;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

// Like the reference, it takes a sign in place of the first digit.
std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]), low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(static_cast<unsigned char>(16 * high + low));
}

std::string text_of_bytes(std::string_view bytes) {
  if (first_bad_utf8(bytes) == bytes.size()) return std::string(bytes);
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) out += "\xEF\xBF\xBD";
  return out;
}

TextDecoder::TextDecoder(const JsonObject& json) {
  add(json);
  find_shape();
}

void TextDecoder::add(const JsonObject& json) {
  const std::string type = json.text("type");
  if (type == "Sequence") {
    only_keys(json, {"type", "decoders"});
    const Json& steps = json.array("decoders");
    for (std::size_t i = 0; i < steps.size(); ++i)
      add(JsonObject(steps[i], json.where() + ": 'decoders' " + std::to_string(i)));
  } else if (type == "Replace") {
    only_keys(json, {"type", "pattern", "content"});
    std::string content = json.text("content");
    if (content.size() > kMaxDecoded)
      json.unsupported("content", "more than " + std::to_string(kMaxDecoded) + " bytes are not supported");
    steps_.emplace_back(Replace{Matcher::of(json), std::move(content)});
  } else if (type == "ByteFallback") {
    only_keys(json, {"type"});
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    only_keys(json, {"type"});
    steps_.emplace_back(Fuse{});
  } else if (type == "Strip") {
    only_keys(json, {"type", "content", "start", "stop"});
    steps_.emplace_back(Strip{one_character(json, "content"), json.integer("start", 0), json.integer("stop", 0)});
  } else if (type == "Metaspace") {
    steps_.emplace_back(Metaspace::of(json));
  } else if (type == "ByteLevel") {
    only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    steps_.emplace_back(ByteLevel{});
  } else {
    refuse_type(json, type, {"ByteLevel", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip", "Sequence"});
  }
  if (steps_.size() > kMaxDecoderSteps)
    fail(Status::unsupported, json.where(), ": more than ", kMaxDecoderSteps, " steps are not supported");
}

// Single tokens are changed; then bytes are joined, all is fused, and the beginning is stripped, each at most once.
void TextDecoder::find_shape() {
  const auto at = [this](std::size_t i) { return i < steps_.size() ? &steps_[i] : nullptr; };
  const auto skip_fuse = [&](std::size_t& i) {
    const std::size_t begin = i;
    while (at(i) && std::holds_alternative<Fuse>(*at(i))) ++i;
    return i > begin;
  };
  std::size_t i = 0;
  first_differs_ = false;
  if (at(0) && std::holds_alternative<ByteLevel>(*at(0))) {
    skip_fuse(++i);
    shape_ = i == steps_.size() ? Shape::bytes : Shape::whole;
    return;
  }
  while (at(i) && changes_one(*at(i))) ++i;
  n_single_ = i;
  first_differs_ = std::any_of(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(i), [](const Step& step) {
    const auto* metaspace = std::get_if<Metaspace>(&step);
    return metaspace && metaspace->prefix != Metaspace::Prefix::never;
  });
  if (at(i) && std::holds_alternative<ByteFallback>(*at(i))) has_bytes_ = true, ++i;
  if (skip_fuse(i) && at(i))
    if (const auto* strip = std::get_if<Strip>(at(i)); strip && strip->n_stop == 0) {
      stripped_ = strip->character;
      n_stripped_ = static_cast<std::size_t>(strip->n_start);
      skip_fuse(++i);
    }
  shape_ = i == steps_.size() ? Shape::pieces : Shape::whole;
}

bool TextDecoder::changes_one(const Step& step) {
  return std::holds_alternative<Replace>(step) || std::holds_alternative<Strip>(step) ||
         std::holds_alternative<Metaspace>(step);
}

void TextDecoder::change(const Step& step, bool is_first, std::string& text) {
  if (const auto* with = std::get_if<Replace>(&step))
    replace(*with, text);
  else if (const auto* of = std::get_if<Strip>(&step))
    strip(*of, text);
  else
    unmeta(std::get<Metaspace>(step), is_first, text);
}

void TextDecoder::replace(const Replace& step, std::string& text) {
  std::string out;
  step.matcher.replace_matches(text, step.by, out);
  text = std::move(out);
}

void TextDecoder::strip(const Strip& step, std::string& text) {
  const std::string& c = step.character;
  std::size_t begin = 0, end = text.size();
  for (std::int32_t i = 0; i < step.n_start && std::string_view(text).substr(begin).starts_with(c); ++i)
    begin += c.size();
  for (std::int32_t i = 0; i < step.n_stop && std::string_view(text).substr(begin, end - begin).ends_with(c); ++i)
    end -= c.size();
  text = text.substr(begin, end - begin);
}

void TextDecoder::unmeta(const Metaspace& step, bool is_first, std::string& text) {
  const bool drops = is_first && step.prefix != Metaspace::Prefix::never;
  std::string out;
  Matcher(step.replacement).replace_matches(text, drops ? "" : " ", out);
  text = std::move(out);
}

TextDecoder::Texts TextDecoder::join_bytes(const Texts& tokens) {
  Texts out;
  std::string bytes;
  const auto flush = [&] {
    if (first_bad_utf8(bytes) != bytes.size())
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");  // each a text of its own
    else if (!bytes.empty())
      out.push_back(bytes);
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = byte_of_token(token)) {
      bytes.push_back(*byte);
      continue;
    }
    flush();
    out.push_back(token);
  }
  flush();
  return out;
}

std::string TextDecoder::from_alphabet(const Texts& tokens) {
  std::string bytes, text;
  for (const std::string& token : tokens) bytes += alphabet_to_bytes(token).value_or(token);
  append_as_text(bytes, text);
  return text;
}

/// A file's steps could double a text many times: `n_bytes` is what `n_tokens` texts of `n_before` bytes have become.
void TextDecoder::check_growth(std::size_t n_bytes, std::size_t n_tokens, std::size_t n_before) {
  if (n_bytes > kMaxDecoded * n_tokens + kMaxDecodedGrowth * n_before)
    fail(Status::limit_reached, "decoding by the tokenizer's 'Replace': ", n_bytes, " bytes for ", n_before);
}

TextDecoder::Piece TextDecoder::piece(std::string_view token, bool is_first) const {
  switch (shape_) {
    case Shape::bytes: return {alphabet_to_bytes(token).value_or(std::string(token))};
    case Shape::spaced: return {(is_first ? "" : " ") + std::string(token)};
    case Shape::whole: return {whole({std::string(token)})};
    case Shape::pieces: break;
  }
  std::string text(token);
  for (std::size_t i = 0; i < n_single_; ++i) {
    change(steps_[i], is_first, text);
    check_growth(text.size(), 1, token.size());
  }
  if (has_bytes_)
    if (const auto byte = byte_of_token(text)) return {std::string(1, *byte), true};
  return {std::move(text)};
}

std::string TextDecoder::whole(std::vector<std::string> tokens) const {
  const auto joined = [](const Texts& texts, const char* between) {
    std::string out;
    for (std::size_t i = 0; i < texts.size(); ++i) (out += i > 0 ? between : "") += texts[i];
    return out;
  };
  if (shape_ == Shape::spaced) return joined(tokens, " ");
  const auto size_of = [](const Texts& texts) {
    std::size_t n = 0;
    for (const std::string& text : texts) n += text.size();
    return n;
  };
  const std::size_t n_tokens = tokens.size(), n_before = size_of(tokens);
  for (const Step& step : steps_) {
    if (std::holds_alternative<ByteFallback>(step))
      tokens = join_bytes(tokens);
    else if (std::holds_alternative<Fuse>(step))
      tokens = {joined(tokens, "")};
    else if (std::holds_alternative<ByteLevel>(step))
      tokens = {from_alphabet(tokens)};
    else
      for (std::size_t i = 0; i < tokens.size(); ++i) change(step, i == 0, tokens[i]);
    check_growth(size_of(tokens), n_tokens, n_before);
  }
  return joined(tokens, "");
}

}  // namespace anabranch::hf::impl
