#include <algorithm>
#include <utility>

#include "added_token_list.hpp"
#include "known_keys.hpp"
#include "post_processor.hpp"
#include "tokenizer_file.hpp"
#include "tokenizer_table.hpp"
#include "vocabulary.hpp"

namespace anabranch::hf::impl {
namespace {

// Far above any vocabulary. A file of n bytes has less than n tokens: a damaged id must not ask for gigabytes.
constexpr std::size_t kMaxId = (1 << 22) - 1;

class TableReader {
 public:
  TableReader(const JsonObject& root, const TokenizerFile& file, TokenId max_id, const TokenizerSettings* settings,
              TokenizerTable& table)
      : root_(root), model_(root.object("model")), file_(file), max_id_(max_id), settings_(settings), table_(table) {}

  void read() {
    // `truncation` and `padding` are what the file's writer had switched on: see tokenizer.hpp
    only_keys(root_, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                      "post_processor", "decoder", "model"});
    if (const auto version = root_.optional_text("version"); version && *version != "1.0")
      root_.unsupported("version", "\"" + *version + "\" is not supported, only \"1.0\"");
    check_model(model_);
    if (const auto json = root_.optional_object("normalizer")) table_.normalizer = Normalizer(*json);
    if (const auto json = root_.optional_object("pre_tokenizer"))
      table_.pre_tokenizer = PreTokenizer(*json, table_.normalizer.moves_beginning());
    if (const auto json = root_.optional_object("decoder")) table_.decoder = TextDecoder(*json);
    const Vocabulary vocabulary(model_, file_);
    table_.bpe = read_bpe(model_, file_, vocabulary, table_.pre_tokenizer.ends_in_bytes());
    AddedTokenList added(root_, vocabulary, table_.normalizer, max_id_);
    if (settings_ != nullptr) added.add(*settings_);
    make_room(vocabulary, added);
    for (TokenId id = 0; id < vocabulary.n(); ++id)
      if (vocabulary.has(id)) place(id, vocabulary.entry(id));
    take(added);
    if (const auto json = root_.optional_object("post_processor")) {
      Surrounding surrounding = read_post_processor(*json, table_.exists);
      table_.before = std::move(surrounding.before);
      table_.after = std::move(surrounding.after);
    }
  }

 private:
  // All at once: growing step by step would allocate several times as much.
  void make_room(const Vocabulary& vocabulary, const AddedTokenList& added) {
    TokenId highest = vocabulary.n() - 1;
    for (const AddedTokenList::Entry& entry : added.entries()) highest = std::max(highest, entry.token.id);
    if (highest == kNone) return;
    const auto reach = [highest](auto&... tables) { (tables.reach(highest), ...); };
    reach(table_.bytes, table_.exists, table_.special, table_.skipped);
    if (needs_texts()) reach(table_.texts);
    if (table_.decoder.has_bytes()) reach(table_.is_byte);
  }
  bool needs_texts() const {
    return table_.decoder.shape() == TextDecoder::Shape::whole || table_.decoder.first_differs();
  }

  // Gives an id its text.
  void place(TokenId id, std::string_view text) {
    TextDecoder::Piece piece = decoded(id, text);
    table_.exists[id] = true;
    table_.bytes[id] = std::move(piece.bytes);
    if (needs_texts()) table_.texts[id] = text;
    if (table_.decoder.has_bytes()) table_.is_byte[id] = piece.is_byte;
  }

  TextDecoder::Piece decoded(TokenId id, std::string_view text) const {
    try {
      return table_.decoder.piece(text, false);
    } catch (const Error& error) {
      fail(Status::unsupported, root_.where(), ": 'decoder': token ", id, ": ", error.what());
    }
  }

  void take(const AddedTokenList& list) {
    std::unordered_map<std::string_view, bool> specials;
    for (const AddedTokenList::Entry& entry : list.entries()) {
      place(entry.token.id, entry.text);
      table_.added.emplace(entry.token.content, entry.token.id);
      table_.special[entry.token.id] = entry.token.special;
      if (entry.token.special) specials.emplace(entry.token.content, true);
    }
    // The reference looks for the text that is decoded among the special tokens as they are listed.
    for (const AddedTokenList::Entry& entry : list.entries())
      table_.skipped[entry.token.id] = specials.contains(entry.text);
    table_.verbatim = AddedTokens(list.sought(false));
    table_.normalised = AddedTokens(list.sought(true));
  }

  const JsonObject& root_;
  JsonObject model_;
  const TokenizerFile& file_;
  TokenId max_id_;
  const TokenizerSettings* settings_;
  TokenizerTable& table_;
};

}  // namespace

TokenizerTable read_tokenizer(const TokenizerFile& file, const std::string& name) {
  const JsonObject root(file.rest, name);
  TokenizerTable table;
  TableReader(root, file, static_cast<TokenId>(kMaxId), nullptr, table).read();
  return table;
}

TokenizerTable read_tokenizer_json(std::string_view json, const std::string& name, const TokenizerSettings* settings) {
  const auto max_id = static_cast<TokenId>(std::min(kMaxId, json.size()));
  const TokenizerFile file = parse_tokenizer_file(json, name, max_id);
  const JsonObject root(file.rest, name);
  TokenizerTable table;
  TableReader(root, file, max_id, settings, table).read();
  return table;
}

}  // namespace anabranch::hf::impl
