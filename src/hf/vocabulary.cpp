#include "vocabulary.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "byte_level.hpp"
#include "known_keys.hpp"

namespace anabranch::hf::impl {
namespace {

class BpeReader {
 public:
  BpeReader(const JsonObject& model, const TokenizerFile& file, const Vocabulary& vocabulary, Bpe& bpe)
      : model_(model),
        file_(file),
        vocabulary_(vocabulary),
        bpe_(bpe),
        falls_back_(model.flag_or("byte_fallback", false)) {}

  void read() {
    read_merges();
    bpe_.of_bytes ? read_bytes() : read_characters();
    read_unknown();
    bpe_.whole_words = model_.flag_or("ignore_merges", false);
    if (bpe_.whole_words) read_words();
  }

 private:
  void read_merges() {
    if (!file_.has_merges || model_.find("merges")) model_.array("merges");
    bpe_.merges.reserve(file_.merges.size());
    std::int32_t rank = 0;
    for (const TokenizerFile::Merge& merge : file_.merges) add_merge(file_[merge.left], file_[merge.right], rank++);
  }

  void add_merge(std::string_view left, std::string_view right, std::int32_t rank) {
    both_.assign(left).append(right);
    const TokenId a = vocabulary_.find(left), b = vocabulary_.find(right), merged = vocabulary_.find(both_);
    if (a == kNone || b == kNone || merged == kNone)
      fail(Status::bad_file, model_.where(), ": 'merges' ", rank, ": expected \"", left, "\", \"", right, "\" and \"",
           both_, "\" in the vocabulary, found no \"",
           a == kNone   ? left
           : b == kNone ? right
                        : both_,
           "\"");
    bpe_.merges.insert(a, b, rank, merged);
  }

  TokenId token_of_byte(unsigned byte) const {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    return vocabulary_.find(name);
  }

  // Some vocabularies lack bytes that their training text had not: those become the bytes of their character in the
  // byte alphabet, or `unk_token`, or nothing.
  void read_bytes() {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::string entry = byte_entry(static_cast<std::uint8_t>(byte));
      ByteSymbols& symbols = bpe_.bytes[byte];
      if (const TokenId id = vocabulary_.find(entry); id != kNone)
        symbols.tokens[symbols.n++] = id;
      else if (falls_back_)
        add_fallback(entry, symbols);
      needs_unknown_ = needs_unknown_ || symbols.n == 0;
    }
  }

  void add_fallback(const std::string& entry, ByteSymbols& symbols) const {
    ByteSymbols result;
    result.fallback = true;
    for (const char c : entry) {
      const TokenId id = token_of_byte(static_cast<unsigned char>(c));
      if (id == kNone || result.n == result.tokens.size()) return;
      result.tokens[result.n++] = id;
    }
    symbols = result;
  }

  void read_characters() {
    for (TokenId id = 0; id < vocabulary_.n(); ++id) {
      if (!vocabulary_.has(id)) continue;
      std::size_t end = 0;
      const char32_t c = next_char(vocabulary_.entry(id), end);
      if (end == vocabulary_.entry(id).size()) bpe_.characters.insert(c, id);
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
      bpe_.fallback[byte] = falls_back_ ? token_of_byte(byte) : kNone;
      needs_unknown_ = needs_unknown_ || bpe_.fallback[byte] == kNone;
    }
  }

  void read_unknown() {
    bpe_.fuse_unknown = model_.flag_or("fuse_unk", false);
    const auto unknown = model_.optional_text("unk_token");
    if (!unknown) return;
    bpe_.unknown = vocabulary_.find(*unknown);
    if (bpe_.unknown == kNone && needs_unknown_)
      fail(Status::bad_file, model_.where(), ": 'unk_token': expected a token of the vocabulary, found \"", *unknown,
           "\"");
  }

  void read_words() {
    for (TokenId id = 0; id < vocabulary_.n(); ++id) {
      if (!vocabulary_.has(id)) continue;
      const std::string_view entry = vocabulary_.entry(id);
      if (!bpe_.of_bytes)
        bpe_.words.emplace(entry, id);
      else if (auto bytes = alphabet_to_bytes(entry))
        bpe_.words.emplace(std::move(*bytes), id);
    }
  }

  const JsonObject& model_;
  const TokenizerFile& file_;
  const Vocabulary& vocabulary_;
  Bpe& bpe_;
  bool falls_back_;
  bool needs_unknown_ = false;  ///< some text has no token
  std::string both_;
};

}  // namespace

TokenId checked_id(const JsonObject& object, const char* key, const Json& value, TokenId max_id) {
  const auto id = token_id(value);
  if (!id || *id > max_id) object.wrong(key, "a token id from 0 to " + std::to_string(max_id), value);
  return *id;
}

Vocabulary::Vocabulary(const JsonObject& model, const TokenizerFile& file) {
  if (!file.has_vocabulary || model.find("vocab")) model.object("vocab");
  const std::string where = model.where() + ": 'vocab': '";
  ids_.reserve(file.vocabulary.size());
  TokenId highest = kNone;
  for (const TokenizerFile::Entry& entry : file.vocabulary) highest = std::max(highest, entry.id);
  if (highest != kNone) entries_.reach(highest);
  for (const TokenizerFile::Entry& entry : file.vocabulary) {
    const std::string_view text = file[entry.text];
    if (text.empty()) fail(Status::bad_file, where, "': expected no empty token, found ", entry.id);
    const auto [found, is_new] = ids_.emplace(text, entry.id);
    if (!is_new) entries_[std::exchange(found->second, entry.id)] = {};
    if (has(entry.id))
      fail(Status::bad_file, where, text, "': expected an id of its own (\"", entries_[entry.id], "\" has it), found ",
           entry.id);
    entries_[entry.id] = text;
  }
}

void check_model(const JsonObject& model) {
  const std::string type = model.optional_text("type").value_or("BPE");
  if (type != "BPE") model.unsupported("type", "\"" + type + "\" is not supported, only \"BPE\"");
  only_keys(model, {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                    "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const Json* dropout = model.find("dropout"); dropout && *dropout != 0)
    model.unsupported("dropout", shown(*dropout) + " is not supported, only none");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto text = model.optional_text(key); text && !text->empty())
      model.unsupported(key, "\"" + *text + "\" is not supported, only none");
}

Bpe read_bpe(const JsonObject& model, const TokenizerFile& file, const Vocabulary& vocabulary, bool of_bytes) {
  Bpe bpe;
  bpe.of_bytes = of_bytes;
  BpeReader(model, file, vocabulary, bpe).read();
  return bpe;
}

}  // namespace anabranch::hf::impl
