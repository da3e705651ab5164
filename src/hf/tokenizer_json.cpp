#include <algorithm>
#include <cstdio>

#include "byte_level.hpp"
#include "tokenizer_table.hpp"

namespace anabranch::hf::impl {
namespace {

// Far above any vocabulary; keeps a damaged id from asking for gigabytes.
constexpr std::int32_t kMaxId = (1 << 22) - 1;

using Vocabulary = std::unordered_map<std::string_view, TokenId>;

TokenId checked_id(const JsonObject& object, const char* key, const Json& value) {
  const auto id = token_id(value);
  if (!id || *id > kMaxId) object.wrong(key, "a token id from 0 to " + std::to_string(kMaxId), value);
  return *id;
}

// Vocabulary entries by id; refuses two entries with one id.
class Reader {
 public:
  Reader(const JsonObject& root, TokenizerTable& table) : root_(root), model_(root.object("model")), table_(table) {}

  void read() {
    check_model_type();
    read_normalizer();
    read_vocabulary();
    read_merges();
    read_bytes();
    read_added_tokens();
    table_.pre_tokenizer.emplace(root_.object("pre_tokenizer"));
    check_decoder(root_.object("decoder"));
    if (const auto processor = root_.optional_object("post_processor")) read_post_processor(*processor);
  }

 private:
  void check_model_type() {
    const std::string type = model_.optional_text("type").value_or("BPE");
    if (type != "BPE") model_.unsupported("type", "\"" + type + "\" is not supported, only \"BPE\"");
    if (const Json* dropout = model_.find("dropout"); dropout && *dropout != 0)
      model_.unsupported("dropout", shown(*dropout) + " is not supported, only none");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const auto text = model_.optional_text(key); text && !text->empty())
        model_.unsupported(key, "\"" + *text + "\" is not supported, only none");
  }

  void read_normalizer() {
    if (const auto normalizer = root_.optional_object("normalizer")) add_normalizer(*normalizer);
  }

  void add_normalizer(const JsonObject& json) {
    const std::string type = json.text("type");
    if (type == "NFC") {
      table_.compose = true;
    } else if (type == "Sequence") {
      const Json& steps = json.array("normalizers");
      for (std::size_t i = 0; i < steps.size(); ++i)
        add_normalizer(JsonObject(steps[i], json.where() + ": 'normalizers' " + std::to_string(i)));
    } else {
      json.unsupported("type", "\"" + type + "\" is not supported; supported are NFC and Sequence");
    }
  }

  // Makes room for an id and gives it its bytes.
  void place(TokenId id, const std::string& content, std::string bytes) {
    owner_.reach(id);
    table_.bytes.reach(id);
    table_.special.reach(id);
    owner_[id] = content;
    table_.bytes[id] = std::move(bytes);
  }

  bool has_owner(TokenId id) const { return id < owner_.n() && !owner_[id].empty(); }

  void read_vocabulary() {
    const JsonObject json = model_.object("vocab");
    vocabulary_.reserve(json.json().size());
    for (const auto& [entry, value] : json.json().items()) {
      if (entry.empty()) json.wrong("", "no empty token", value);
      const TokenId id = checked_id(json, entry.c_str(), value);
      if (has_owner(id)) json.wrong(entry.c_str(), "an id of its own (\"" + owner_[id] + "\" has it)", value);
      place(id, entry, alphabet_to_bytes(entry).value_or(entry));
    }
    for (TokenId id = 0; id < owner_.n(); ++id)
      if (has_owner(id)) vocabulary_.emplace(owner_[id], id);
    entries_ = std::move(owner_);  // what vocabulary_ points into stays where it is
    owner_ = entries_;
    table_.bpe.whole_words = model_.flag_or("ignore_merges", false);
    if (!table_.bpe.whole_words) return;
    for (const auto& [entry, id] : vocabulary_)
      if (auto bytes = alphabet_to_bytes(entry)) table_.bpe.words.emplace(std::move(*bytes), id);
  }

  TokenId find(std::string_view entry) const {
    const auto found = vocabulary_.find(entry);
    return found == vocabulary_.end() ? kNone : found->second;
  }

  // "left right" or ["left", "right"], best first.
  void read_merges() {
    const Json& merges = model_.array("merges");
    table_.bpe.merges.reserve(merges.size());
    std::int32_t rank = 0;
    for (const Json& merge : merges) {
      std::string left, right;
      if (merge.is_string()) {
        const auto& text = merge.get_ref<const std::string&>();
        if (text.starts_with("#version")) continue;
        const std::size_t space = text.find(' ');
        if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
          model_.wrong("merges", "\"left right\" with one space", merge);
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else {
        model_.wrong("merges", "two tokens", merge);
      }
      add_merge(left, right, rank++);
    }
  }

  void add_merge(const std::string& left, const std::string& right, std::int32_t rank) {
    const TokenId a = find(left), b = find(right), merged = find(left + right);
    if (a == kNone || b == kNone || merged == kNone)
      fail(Status::bad_file, model_.where(), ": 'merges' ", rank, ": expected \"", left, "\", \"", right, "\" and \"",
           left, right, "\" in the vocabulary, found no \"",
           (a == kNone   ? left
            : b == kNone ? right
                         : left + right),
           "\"");
    table_.bpe.merges.insert(a, b, rank, merged);
  }

  // Some vocabularies lack bytes that their training text had not: those become `unk_token`, or nothing.
  void read_bytes() {
    const bool fallback = model_.flag_or("byte_fallback", false);
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::string entry = byte_entry(static_cast<std::uint8_t>(byte));
      ByteSymbols& symbols = table_.bpe.bytes[byte];
      if (const TokenId id = find(entry); id != kNone) {
        symbols.tokens[symbols.n++] = id;
      } else if (fallback) {
        add_fallback(entry, symbols);
      }
    }
    table_.bpe.fuse_unknown = model_.flag_or("fuse_unk", false);
    if (const auto unknown = model_.optional_text("unk_token")) {
      table_.bpe.unknown = find(*unknown);
      if (table_.bpe.unknown == kNone)
        fail(Status::bad_file, model_.where(), ": 'unk_token': expected a token of the vocabulary, found \"", *unknown,
             "\"");
    }
  }

  void add_fallback(const std::string& entry, ByteSymbols& symbols) {
    ByteSymbols result;
    result.fallback = true;
    for (const char c : entry) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(static_cast<unsigned char>(c)));
      const TokenId id = find(name);
      if (id == kNone || result.n == result.tokens.size()) return;
      result.tokens[result.n++] = id;
    }
    symbols = result;
  }

  void read_added_tokens() {
    if (!root_.find("added_tokens")) return;
    const Json& tokens = root_.array("added_tokens");
    std::vector<AddedToken> verbatim, normalised;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const JsonObject json(tokens[i], root_.where() + ": 'added_tokens' " + std::to_string(i));
      AddedToken token;
      token.content = json.text("content");
      token.id = checked_id(json, "id", json.require("id", "a token id"));
      token.special = json.flag_or("special", false);
      token.takes_left = json.flag_or("lstrip", false);
      token.takes_right = json.flag_or("rstrip", false);
      if (json.flag_or("single_word", false)) json.unsupported("single_word", "true is not supported");
      if (token.content.empty() || !add_added(json, token)) continue;
      const bool in_normalised = json.flag_or("normalized", !token.special);
      if (in_normalised && table_.compose) token.content = nfc(token.content);
      (in_normalised ? normalised : verbatim).push_back(std::move(token));
    }
    table_.verbatim = AddedTokens(std::move(verbatim));
    table_.normalised = AddedTokens(std::move(normalised));
  }

  // False for a repetition of what is there already.
  bool add_added(const JsonObject& json, const AddedToken& token) {
    const TokenId same_text = find(token.content);
    const bool taken = has_owner(token.id) && owner_[token.id] != token.content;
    if (taken || (same_text != kNone && same_text != token.id))
      fail(Status::bad_file, json.where(), ": 'id': expected ",
           (taken ? "an id of its own for" : std::to_string(same_text) + ", the vocabulary's id of"), " \"",
           token.content, "\", found ", token.id);
    const auto [entry, fresh] = table_.added.emplace(token.content, token.id);
    if (!fresh && entry->second != token.id)
      fail(Status::bad_file, json.where(), ": 'content': \"", token.content, "\" is there twice");
    place(token.id, token.content, token.content);  // literal text, not spelled in the byte alphabet
    table_.special[token.id] = token.special;
    return fresh;
  }

  void check_decoder(const JsonObject& json) {
    const std::string type = json.text("type");
    if (type == "ByteLevel") return;
    if (type != "Sequence") json.unsupported("type", "\"" + type + "\" is not supported, only \"ByteLevel\"");
    const Json& steps = json.array("decoders");
    if (steps.size() != 1) json.unsupported("decoders", shown(steps) + " is not supported, only one ByteLevel");
    check_decoder(JsonObject(steps[0], json.where() + ": 'decoders' 0"));
  }

  void read_post_processor(const JsonObject& json) {
    const std::string type = json.text("type");
    if (type == "ByteLevel") return;  // only moves offsets
    if (type == "Sequence") {
      const Json& steps = json.array("processors");
      for (std::size_t i = 0; i < steps.size(); ++i)
        read_post_processor(JsonObject(steps[i], json.where() + ": 'processors' " + std::to_string(i)));
    } else if (type == "TemplateProcessing") {
      read_template(json);
    } else {
      json.unsupported("type",
                       "\"" + type + "\" is not supported; supported are TemplateProcessing, ByteLevel and Sequence");
    }
  }

  // Special tokens before and after the one text; a later template goes around an earlier one.
  void read_template(const JsonObject& json) {
    std::vector<TokenId> before, after;
    bool text_seen = false;
    const Json& pieces = json.array("single");
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const JsonObject piece(pieces[i], json.where() + ": 'single' " + std::to_string(i));
      if (piece.find("Sequence")) {
        if (text_seen || piece.object("Sequence").text("id") != "A")
          json.wrong("single", "the text \"A\" once", pieces);
        text_seen = true;
        continue;
      }
      append_special(json, piece.object("SpecialToken").text("id"), text_seen ? after : before);
    }
    if (!text_seen) json.wrong("single", "the text \"A\" once", pieces);
    table_.before.insert(table_.before.begin(), before.begin(), before.end());
    table_.after.insert(table_.after.end(), after.begin(), after.end());
  }

  void append_special(const JsonObject& json, const std::string& name, std::vector<TokenId>& out) {
    const JsonObject token = json.object("special_tokens").object(name.c_str());
    for (const Json& value : token.array("ids")) {
      const TokenId id = checked_id(token, "ids", value);
      if (!has_owner(id)) token.wrong("ids", "ids of known tokens", value);
      out.push_back(id);
    }
  }

  const JsonObject& root_;
  JsonObject model_;
  TokenizerTable& table_;
  TokenTable<std::string> entries_;  ///< of the vocabulary
  TokenTable<std::string> owner_;    ///< entries and added tokens
  Vocabulary vocabulary_;            ///< into entries_
};

}  // namespace

TokenizerTable read_tokenizer_json(std::string_view json, const std::string& name) {
  const Json parsed = parse_json(json, name);
  const JsonObject root(parsed, name);
  TokenizerTable table;
  Reader(root, table).read();
  return table;
}

}  // namespace anabranch::hf::impl
