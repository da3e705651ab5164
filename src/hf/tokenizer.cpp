#include <anabranch/hf/tokenizer.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include <anabranch/hf/gguf.hpp>
#include <anabranch/markup/impl/stop_token.hpp>
#include <anabranch/utf8.hpp>

#include "gguf_tokenizer.hpp"
#include "json_file.hpp"
#include "tokenizer_table.hpp"
#include "utf8.hpp"

namespace anabranch::hf {
namespace {

using impl::AddedTokens;
using impl::Part;
using impl::Piece;
using impl::TokenizerTable;

// One encoding: what is reused from piece to piece.
class Encoder {
 public:
  Encoder(const TokenizerTable& table, AddedTokens::Specials specials, std::vector<TokenId>& out,
          TextPlace place = TextPlace::beginning)
      : table_(table), specials_(specials), out_(out), place_(place) {}

  /// Is the text cut at the borders of quoted ranges? Only so a normalised text's special tokens heed them.
  enum class Cut : std::uint8_t { no, yes };
  /// Only added tokens are found; words give none.
  Encoder& without_words() {
    with_words_ = false;
    return *this;
  }

  void run(std::string_view text, std::span<const TextRange> quoted = {}, Cut at_borders = Cut::no) {
    table_.verbatim.find(text, specials_, parts_, quoted);
    for (const Part& part : parts_) {
      if (part.id != kNone)
        out_.push_back(part.id);
      else if (at_borders == Cut::yes)
        cut(text, part, quoted);
      else
        plain(text, part.begin, part.end);
    }
  }

 private:
  void cut(std::string_view text, const Part& part, std::span<const TextRange> quoted) {
    const AddedTokens::Specials outside = specials_;
    std::size_t done = part.begin;
    const auto until = [&](std::size_t end, AddedTokens::Specials specials) {
      end = std::min(end, part.end);
      if (end <= done) return;
      specials_ = specials;
      plain(text, done, end);
      done = end;
    };
    for (const TextRange& range : quoted) {
      until(range.begin, outside);
      until(range.end, AddedTokens::Specials::passed_over);
    }
    until(part.end, outside);
    specials_ = outside;
  }

  void plain(std::string_view text, std::size_t begin, std::size_t end) {
    Piece piece{text.substr(begin, end - begin)};
    if (begin == 0 && place_ == TextPlace::beginning) impl::next_char(text, piece.n_first);
    piece.goes_on = begin == 0 && place_ == TextPlace::midst;
    if (table_.normalizer.empty()) {
      normalised(piece);
    } else {
      const impl::OwnedPiece changed = table_.normalizer(piece);
      normalised(impl::view_of(changed));
    }
  }

  void normalised(const Piece& piece) {
    table_.normalised.find(piece.text, specials_, inner_parts_);
    for (const Part& part : inner_parts_) {
      if (part.id != kNone)
        out_.push_back(part.id);
      else if (with_words_)
        words(impl::part_of(piece, part.begin, part.end));
    }
  }

  void words(const Piece& piece) {
    table_.pre_tokenizer.split(piece, [this](std::string_view word) { table_.bpe.encode(word, scratch_, out_); });
  }

  const TokenizerTable& table_;
  AddedTokens::Specials specials_;
  std::vector<TokenId>& out_;
  TextPlace place_;
  bool with_words_ = true;
  std::vector<Part> parts_, inner_parts_;
  impl::Bpe::Scratch scratch_;
};

void check_ids(std::span<const TokenId> tokens) {
  for (const TokenId id : tokens)
    if (id < 0) fail(Status::bad_argument, "token to decode: expected an id of at least 0, found ", id);
}

void check_text(std::string_view text) {
  if (const std::size_t bad = first_bad_utf8(text); bad != text.size())
    fail(Status::bad_argument, "text to encode: not well-formed UTF-8 at byte ", bad, " of ", text.size());
  if (std::ssize(text) > kUnlimited)
    fail(Status::bad_argument, "text to encode: expected at most ", kUnlimited, " bytes, found ", text.size());
}

}  // namespace

DecodeStream::DecodeStream(std::shared_ptr<const TokenizerTable> table, SpecialText special)
    : table_(std::move(table)), special_(special) {
  restart();
}

void DecodeStream::restart() {
  is_first_ = true;
  n_stripped_ = table_->decoder.n_stripped();
  held_bytes_.clear();
  held_ids_.clear();
}

void DecodeStream::push(std::span<const TokenId> tokens, std::string& out) {
  check_ids(tokens);
  for (const TokenId id : tokens)
    if (id < table_->exists.n() && table_->exists[id] && !(special_ == SpecialText::skip && table_->skipped[id]))
      take(id, out);
}

void DecodeStream::take(TokenId id, std::string& out) {
  const impl::TextDecoder& decoder = table_->decoder;
  if (decoder.shape() == impl::TextDecoder::Shape::whole) return held_ids_.push_back(id);
  std::string_view bytes = table_->bytes[id];
  bool is_byte = decoder.has_bytes() && table_->is_byte[id];
  impl::TextDecoder::Piece first;
  if (is_first_ && decoder.first_differs()) {
    first = decoder.piece(table_->texts[id], true);
    bytes = first.bytes;
    is_byte = first.is_byte;
  }
  is_first_ = false;
  if (is_byte) {
    held_bytes_ += bytes;
  } else {
    append_held_bytes(out);
    append(bytes, out);
  }
}

void DecodeStream::append_held_bytes(std::string& out) {
  if (held_bytes_.empty()) return;
  append(impl::text_of_bytes(held_bytes_), out);
  held_bytes_.clear();
}

void DecodeStream::append(std::string_view text, std::string& out) {
  const std::string& stripped = table_->decoder.stripped();
  for (; n_stripped_ > 0 && text.starts_with(stripped); --n_stripped_) text.remove_prefix(stripped.size());
  if (!text.empty()) n_stripped_ = 0;
  out += text;
}

void DecodeStream::finish(std::string& out) {
  append_held_bytes(out);
  if (!held_ids_.empty()) {
    std::vector<std::string> texts;
    for (const TokenId id : held_ids_) texts.push_back(table_->texts[id]);
    out += table_->decoder.whole(std::move(texts));
  }
  restart();
}

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerTable> table) : table_(std::move(table)) {}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  return Tokenizer(std::make_shared<const TokenizerTable>(impl::read_tokenizer_json(json, name)));
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder_or_file) {
  if (is_gguf(folder_or_file)) {
    const impl::GgufFile file = std::move(impl::open_gguf(folder_or_file).front());
    return Tokenizer(std::make_shared<const TokenizerTable>(
        impl::read_tokenizer(impl::gguf_tokenizer(file), file.where() + ": its tokenizer")));
  }
  std::error_code error;
  const bool folder = std::filesystem::is_directory(folder_or_file, error);
  const std::filesystem::path file = folder ? folder_or_file / "tokenizer.json" : folder_or_file;
  const std::filesystem::path beside = folder_or_file / "tokenizer_config.json";
  if (!folder || !std::filesystem::exists(beside, error)) return parse(impl::read_file(file), file.string());
  const impl::Json json = impl::parse_json(impl::read_file(beside), beside.string());
  const impl::TokenizerSettings settings = impl::read_tokenizer_settings(impl::JsonObject(json, beside.string()));
  return Tokenizer(std::make_shared<const TokenizerTable>(
      impl::read_tokenizer_json(impl::read_file(file), file.string(), &settings)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  check_text(text);
  std::vector<TokenId> tokens;
  tokens.reserve(text.size() / 3 + 2);
  const bool surround = options.surround == Surround::as_file_says;
  if (surround) tokens = table_->before;
  const auto specials =
      options.special == Special::parse ? AddedTokens::Specials::found : AddedTokens::Specials::passed_over;
  Encoder(*table_, specials, tokens, options.place).run(text);
  if (surround) tokens.insert(tokens.end(), table_->after.begin(), table_->after.end());
  return tokens;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, std::span<const TextRange> quoted) const {
  check_text(text);
  std::vector<TokenId> tokens;
  Encoder(*table_, AddedTokens::Specials::found, tokens).run(text, quoted);
  if (quoted.empty() || !table_->normalised.has_special()) return tokens;
  // As one text, unless a special token was found that is not the unquoted text's own.
  std::vector<TokenId> own;
  Encoder(*table_, AddedTokens::Specials::found, own).without_words().run(text, quoted, Encoder::Cut::yes);
  const auto specials = [this](std::vector<TokenId> ids) {
    std::erase_if(ids, [this](TokenId id) { return !is_special(id); });
    return ids;
  };
  if (specials(tokens) == specials(std::move(own))) return tokens;
  std::vector<TokenId> parts;
  Encoder(*table_, AddedTokens::Specials::found, parts).run(text, quoted, Encoder::Cut::yes);
  return parts;
}

const std::vector<TokenId>& Tokenizer::tokens_in_front() const noexcept { return table_->before; }

void Tokenizer::decode(std::span<const TokenId> tokens, std::string& out, SpecialText special) const {
  if (table_->decoder.shape() == impl::TextDecoder::Shape::bytes) {
    if (special == SpecialText::skip) return (*this)(tokens, out);
    check_ids(tokens);
    for (const TokenId id : tokens)
      if (id < n_tokens()) out += table_->bytes[id];
    return;
  }
  DecodeStream text = stream(special);
  std::string decoded;
  text.push(tokens, decoded);
  text.finish(decoded);
  out += decoded;
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, SpecialText special) const {
  std::string out;
  decode(tokens, out, special);
  return out;
}

DecodeStream Tokenizer::stream(SpecialText special) const { return {table_, special}; }

void Tokenizer::operator()(std::span<const TokenId> tokens, std::string& out) const {
  check_ids(tokens);
  for (const TokenId id : tokens)
    if (id < n_tokens() && !table_->skipped[id]) out += table_->bytes[id];
}

void Tokenizer::decode_beginning(std::span<const TokenId> tokens, std::string& out) const {
  const impl::TextDecoder& decoder = table_->decoder;
  if (decoder.shape() == impl::TextDecoder::Shape::whole) return (*this)(tokens, out);
  check_ids(tokens);
  std::string bytes;
  bool is_first = decoder.first_differs();
  for (const TokenId id : tokens) {
    if (id >= n_tokens() || !table_->exists[id] || table_->skipped[id]) continue;
    bytes += is_first ? decoder.piece(table_->texts[id], true).bytes : table_->bytes[id];
    is_first = false;
  }
  std::string_view rest = bytes;
  for (std::size_t n = decoder.n_stripped(); n > 0 && rest.starts_with(decoder.stripped()); --n)
    rest.remove_prefix(decoder.stripped().size());
  out += rest;
}

std::int32_t Tokenizer::n_tokens() const noexcept { return table_->bytes.n(); }

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= n_tokens())
    fail(Status::bad_argument, "token id: expected 0 to ", n_tokens() - 1, ", found ", id);
  return table_->bytes[id];
}

bool Tokenizer::is_special(TokenId id) const noexcept { return id >= 0 && id < n_tokens() && table_->special[id]; }

std::optional<TokenId> Tokenizer::find_added(std::string_view text) const {
  const auto found = table_->added.find(std::string(text));
  if (found == table_->added.end()) return std::nullopt;
  return found->second;
}

TokenId Tokenizer::stop_token(std::string_view text) const {
  if (first_bad_utf8(text) < text.size()) return kUnknownToken;
  return anabranch::impl::stop_token_of(text, encode(text, Special::parse),
                                        [this](TokenId token) { return is_special(token); });
}

TokenId Tokenizer::added(std::string_view text) const {
  if (const auto id = find_added(text)) return *id;
  fail(Status::bad_argument, "added token: expected one of the tokenizer's ", table_->added.size(), ", found \"", text,
       "\"");
}

}  // namespace anabranch::hf
