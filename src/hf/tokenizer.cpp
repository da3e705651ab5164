#include <anabranch/hf/tokenizer.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "json_file.hpp"
#include "tokenizer_table.hpp"
#include "utf8.hpp"

namespace anabranch::hf {
namespace {

using impl::AddedTokens;
using impl::Part;
using impl::TokenizerTable;

// One encoding: what is reused from piece to piece.
class Encoder {
 public:
  Encoder(const TokenizerTable& table, AddedTokens::Specials specials, std::vector<TokenId>& out)
      : table_(table), specials_(specials), out_(out) {}

  void run(std::string_view text, std::span<const TextRange> quoted = {}) {
    // Where a normalised text has special tokens it no longer has the ranges: it is cut at their borders.
    const bool cuts = !quoted.empty() && table_.normalised.has_special();
    table_.verbatim.find(text, specials_, parts_, quoted);
    for (const Part& part : parts_) {
      if (part.id != kNone)
        out_.push_back(part.id);
      else if (cuts)
        cut(text, part, quoted);
      else
        composed(text.substr(part.begin, part.end - part.begin));
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
      composed(text.substr(done, end - done));
      done = end;
    };
    for (const TextRange& range : quoted) {
      until(range.begin, outside);
      until(range.end, AddedTokens::Specials::passed_over);
    }
    until(part.end, outside);
    specials_ = outside;
  }

  void composed(std::string_view text) {
    if (table_.compose)
      normalised(impl::nfc(text));
    else
      normalised(text);
  }

  void normalised(std::string_view text) {
    table_.normalised.find(text, specials_, inner_parts_);
    for (const Part& part : inner_parts_) {
      if (part.id != kNone)
        out_.push_back(part.id);
      else
        words(text.substr(part.begin, part.end - part.begin));
    }
  }

  void words(std::string_view text) {
    table_.pre_tokenizer->split(text, [this](std::string_view word) { table_.bpe.encode(word, scratch_, out_); });
  }

  const TokenizerTable& table_;
  AddedTokens::Specials specials_;
  std::vector<TokenId>& out_;
  std::vector<Part> parts_, inner_parts_;
  impl::Bpe::Scratch scratch_;
};

void check_text(std::string_view text) {
  if (const std::size_t bad = impl::first_bad_utf8(text); bad != text.size())
    fail(Status::bad_argument, "text to encode: not well-formed UTF-8 at byte ", bad, " of ", text.size());
  if (std::ssize(text) > kUnlimited)
    fail(Status::bad_argument, "text to encode: expected at most ", kUnlimited, " bytes, found ", text.size());
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerTable> table) : table_(std::move(table)) {}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  return Tokenizer(std::make_shared<const TokenizerTable>(impl::read_tokenizer_json(json, name)));
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder_or_file) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(folder_or_file, error);
  const std::filesystem::path file = folder ? folder_or_file / "tokenizer.json" : folder_or_file;
  return parse(impl::read_file(file), file.string());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  check_text(text);
  std::vector<TokenId> tokens;
  tokens.reserve(text.size() / 3 + 2);
  const bool surround = options.surround == Surround::as_file_says;
  if (surround) tokens = table_->before;
  const auto specials =
      options.special == Special::parse ? AddedTokens::Specials::found : AddedTokens::Specials::passed_over;
  Encoder(*table_, specials, tokens).run(text);
  if (surround) tokens.insert(tokens.end(), table_->after.begin(), table_->after.end());
  return tokens;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, std::span<const TextRange> quoted) const {
  check_text(text);
  std::vector<TokenId> tokens;
  Encoder(*table_, AddedTokens::Specials::found, tokens).run(text, quoted);
  return tokens;
}

const std::vector<TokenId>& Tokenizer::tokens_in_front() const noexcept { return table_->before; }

void Tokenizer::decode(std::span<const TokenId> tokens, std::string& out, SpecialText special) const {
  for (const TokenId id : tokens)
    if (id < 0) fail(Status::bad_argument, "token to decode: expected an id of at least 0, found ", id);
  for (const TokenId id : tokens) {
    if (id >= n_tokens() || (special == SpecialText::skip && is_special(id))) continue;
    out += table_->bytes[id];
  }
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, SpecialText special) const {
  std::string out;
  decode(tokens, out, special);
  return out;
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

TokenId Tokenizer::added(std::string_view text) const {
  if (const auto id = find_added(text)) return *id;
  fail(Status::bad_argument, "added token: expected one of the tokenizer's ", table_->added.size(), ", found \"", text,
       "\"");
}

}  // namespace anabranch::hf
