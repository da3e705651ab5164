#include "gguf_tokenizer.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include <anabranch/utf8.hpp>

#include "gguf_pre_tokenizers.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

/// Kinds of tokens, with the numbers that the file has.
enum class TokenKind : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

constexpr const char *kTokens = "tokenizer.ggml.tokens", *kKinds = "tokenizer.ggml.token_type",
                     *kScores = "tokenizer.ggml.scores", *kMerges = "tokenizer.ggml.merges",
                     *kModel = "tokenizer.ggml.model", *kPre = "tokenizer.ggml.pre";
constexpr const char* kSpace = "\u2581";  // "▁"
constexpr std::size_t kMostTokens = 1 << 22;

/// Added tokens are looked for in text before anything else.
bool is_added(TokenKind kind) noexcept {
  return kind == TokenKind::control || kind == TokenKind::user_defined || kind == TokenKind::unknown;
}

std::size_t n_characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

class TokenizerBuilder {
 public:
  explicit TokenizerBuilder(const GgufFile& file) : gguf_(file) {}

  TokenizerFile build() {
    model_ = std::string(gguf_.text(kModel).value_or(""));
    if (model_ != "gpt2" && model_ != "llama")
      gguf_.unsupported(kModel, (gguf_.has(kModel) ? "\"" + model_ + "\"" : "nothing") +
                                    " is not supported; supported are \"gpt2\" (byte pair encoding) and \"llama\" "
                                    "(SentencePiece by scores)");
    by_scores_ = model_ == "llama";
    is_gemma_ = by_scores_ && gguf_.text("general.architecture").value_or("").starts_with("gemma");
    read_tokens();
    add_vocabulary();
    by_scores_ ? build_by_scores() : build_by_merges();
    add_added_tokens();
    add_surroundings();
    return std::move(out_);
  }

 private:
  // ---- tokens

  void read_tokens() {
    auto tokens = gguf_.texts(kTokens);
    if (!tokens || tokens->empty()) gguf_.wrong(kTokens, "the texts of all tokens", tokens ? "none" : "nothing");
    if (tokens->size() > kMostTokens)
      gguf_.wrong(kTokens, "at most " + std::to_string(kMostTokens) + " tokens", std::to_string(tokens->size()));
    const auto kinds = gguf_.integers(kKinds);
    if (kinds && kinds->size() != tokens->size())
      gguf_.wrong(kKinds, std::to_string(tokens->size()) + " of them, as there are tokens",
                  std::to_string(kinds->size()));
    if (!kinds && by_scores_) gguf_.wrong(kKinds, "a type for each token", "nothing");
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      kinds_.push_back(kinds ? static_cast<TokenKind>((*kinds)[i]) : TokenKind::normal);
      add_token(i, (*tokens)[i]);
    }
  }

  void add_token(std::size_t id, std::string_view text) {
    if (text.empty() || first_bad_utf8(text) != text.size())
      gguf_.wrong(kTokens, "UTF-8 text of at least one byte",
                  (text.empty() ? "none for token " : "other bytes for token ") + std::to_string(id));
    // A row of the embedding that no token has.
    const bool is_hole = kinds_[id] == TokenKind::unused && text == "[PAD" + std::to_string(id) + "]";
    std::string respelled;
    if (is_gemma_ && text.find_first_not_of(' ') == text.npos)
      for (std::size_t i = 0; i < text.size(); ++i) respelled += kSpace;
    if (!respelled.empty()) kinds_[id] = TokenKind::normal;
    texts_.push_back(is_hole ? TokenizerFile::Text{} : keep(respelled.empty() ? text : respelled));
  }

  TokenizerFile::Text keep(std::string_view text) {
    if (out_.texts.size() + text.size() > std::numeric_limits<std::uint32_t>::max())
      gguf_.wrong(kTokens, "less than 4 GiB of text", "more");
    const TokenizerFile::Text kept{static_cast<std::uint32_t>(out_.texts.size()),
                                   static_cast<std::uint32_t>(text.size())};
    out_.texts += text;
    return kept;
  }

  bool has(std::size_t id) const noexcept { return texts_[id].size > 0; }
  std::string_view text_of(std::size_t id) const { return out_[texts_[id]]; }

  /// Byte pair encoding has the added tokens behind the vocabulary, where that is what the ids say; otherwise, and by
  /// scores, all tokens are in it.
  std::size_t vocabulary_size() const {
    std::size_t n = texts_.size();
    while (n > 0 && !has(n - 1)) --n;
    const std::size_t behind_last = n;
    while (n > 0 && has(n - 1) && is_added(kinds_[n - 1])) --n;
    for (std::size_t id = 0; id < n; ++id)
      if (!has(id)) return behind_last;
    return by_scores_ || n == 0 ? behind_last : n;
  }

  void add_vocabulary() {
    std::unordered_map<std::string_view, std::size_t> ids;
    ids.reserve(texts_.size());
    const std::size_t n = vocabulary_size();
    out_.has_vocabulary = true;
    for (std::size_t id = 0; id < texts_.size(); ++id) {
      if (!has(id)) continue;
      const auto [found, is_new] = ids.emplace(text_of(id), id);
      if (!is_new)
        gguf_.wrong(
            kTokens, "a text for each token that no other has",
            "\"" + std::string(text_of(id)) + "\" for " + std::to_string(found->second) + " and " + std::to_string(id));
      if (id < n) out_.vocabulary.push_back({texts_[id], static_cast<TokenId>(id)});
    }
    if (by_scores_) ids_ = std::move(ids);  // no text is added any more: the keys stay where they are
  }

  void add_added_tokens() {
    Json tokens = Json::array();
    const bool is_phi3 = by_scores_ && gguf_.text("general.architecture").value_or("") == "phi3";
    for (std::size_t id = 0; id < texts_.size(); ++id) {
      if (!has(id) || !is_added(kinds_[id])) continue;
      const bool special = kinds_[id] != TokenKind::user_defined;
      const std::string text(text_of(id));
      tokens.push_back({{"id", id},
                        {"content", text},
                        {"single_word", false},
                        {"lstrip", false},
                        {"rstrip", is_phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>"},
                        {"normalized", false},
                        {"special", special}});
    }
    out_.rest["added_tokens"] = std::move(tokens);
  }

  // ---- steps

  void build_by_merges() {
    const std::string pre(gguf_.text(kPre).value_or(""));
    pre_ = find_pre_tokenizer(pre);
    if (pre_ == nullptr)
      gguf_.unsupported(kPre, (gguf_.has(kPre) ? "\"" + pre + "\"" : "nothing") + " is not supported; supported are " +
                                  pre_tokenizer_names());
    if (!gguf_.has(kMerges)) gguf_.wrong(kMerges, "the merges of the vocabulary", "nothing");
    add_merges_of_file();
    const Json alphabet{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", pre_->pattern == nullptr}};
    Json steps = Json::array();
    if (pre_->digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    if (pre_->pattern != nullptr)
      steps.push_back(
          {{"type", "Split"}, {"pattern", {{"Regex", pre_->pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
    steps.push_back(alphabet);
    out_.rest["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
    if (pre_->nfc) out_.rest["normalizer"] = {{"type", "NFC"}};
    out_.rest["decoder"] = {{"type", "ByteLevel"}};
    out_.rest["model"] = {{"type", "BPE"}, {"ignore_merges", pre_->words}};
  }

  void add_merges_of_file() {
    out_.has_merges = true;
    const std::vector<std::string_view> merges = *gguf_.texts(kMerges);
    for (const std::string_view merge : merges) {
      const std::size_t space = merge.find(' ', 1);
      if (space == merge.npos || first_bad_utf8(merge) != merge.size())
        gguf_.wrong(kMerges, "two tokens with a space between", "\"" + std::string(merge.substr(0, 80)) + "\"");
      const TokenizerFile::Text left = keep(merge.substr(0, space));
      out_.merges.push_back({left, keep(merge.substr(space + 1))});
    }
  }

  /// A file that has merges beside the scores has those of the model's tokenizer.json.
  void build_by_scores() {
    if (const auto pre = gguf_.text(kPre); pre && *pre != "default" && *pre != "llama" && *pre != "llama-spm")
      gguf_.unsupported(kPre, "\"" + std::string(*pre) + "\" is not supported for 'tokenizer.ggml.model' \"llama\"");
    for (const char* key : {"tokenizer.ggml.remove_extra_whitespaces"})
      if (gguf_.flag(key).value_or(false)) gguf_.unsupported(key, "true is not supported");
    if (gguf_.has("tokenizer.ggml.precompiled_charsmap"))
      gguf_.unsupported("tokenizer.ggml.precompiled_charsmap", "a table of characters is not supported");
    gguf_.has(kMerges) ? add_merges_of_file() : add_merges_by_scores();
    const bool prefix = gguf_.flag("tokenizer.ggml.add_space_prefix").value_or(!is_gemma_);
    const Json to_mark{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
    Json normalizers = Json::array(), decoders = Json::array();
    if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    normalizers.push_back(to_mark);
    decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}});
    decoders.push_back({{"type", "ByteFallback"}});
    decoders.push_back({{"type", "Fuse"}});
    if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    out_.rest["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
    out_.rest["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
    out_.rest["model"] = {{"type", "BPE"}, {"byte_fallback", true}, {"fuse_unk", true}};
    if (const auto unknown = named("tokenizer.ggml.unknown_token_id", 0))
      out_.rest["model"]["unk_token"] = std::string(text_of(*unknown));
  }

  /// A merge of two tokens of the vocabulary into a third: the best score first, then the longest left part. Gemma's
  /// scores do not order its merges, its ids do. No text becomes a control token or a byte.
  void add_merges_by_scores() {
    struct Candidate {
      double score;
      std::size_t n_left, n_right;
      TokenizerFile::Merge merge;
    };
    const std::vector<double> scores = read_scores();
    std::vector<Candidate> candidates;
    for (std::size_t id = 0; id < texts_.size(); ++id) {
      if (!has(id) || kinds_[id] == TokenKind::control || kinds_[id] == TokenKind::unknown ||
          kinds_[id] == TokenKind::byte)
        continue;
      const TokenizerFile::Text whole = texts_[id];
      const std::string_view text = text_of(id);
      const std::size_t n = n_characters(text);
      std::size_t n_left = 0;
      for (std::size_t cut = 0; next_char(text, cut), cut < text.size();) {
        ++n_left;
        if (!ids_.contains(text.substr(0, cut)) || !ids_.contains(text.substr(cut))) continue;
        const auto size = static_cast<std::uint32_t>(cut);
        candidates.push_back({is_gemma_ ? -static_cast<double>(id) : scores[id],
                              n_left,
                              n - n_left,
                              {{whole.offset, size}, {whole.offset + size, whole.size - size}}});
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      if (a.score != b.score) return a.score > b.score;
      return a.n_left != b.n_left ? a.n_left > b.n_left : a.n_right > b.n_right;
    });
    out_.has_merges = true;
    for (const Candidate& candidate : candidates) out_.merges.push_back(candidate.merge);
  }

  std::vector<double> read_scores() const {
    const auto scores = gguf_.numbers(kScores);
    if (!scores || scores->size() != texts_.size())
      gguf_.wrong(kScores, std::to_string(texts_.size()) + " of them, as there are tokens",
                  scores ? std::to_string(scores->size()) : "nothing");
    return *scores;
  }

  // ---- around a text

  /// A token that the metadata names by its id, or `otherwise` in a vocabulary by scores.
  std::optional<std::size_t> named(const char* key, std::size_t otherwise) const {
    const auto id = gguf_.integer(key);
    if (!id) return by_scores_ && otherwise < texts_.size() ? std::optional(otherwise) : std::nullopt;
    const auto place = static_cast<std::size_t>(*id);
    if (place >= texts_.size() || !has(place))
      gguf_.wrong(key, "a token below " + std::to_string(texts_.size()), std::to_string(*id));
    return place;
  }

  void add_surroundings() {
    for (const char* key : {"tokenizer.ggml.add_sep_token"})
      if (gguf_.flag(key).value_or(false)) gguf_.unsupported(key, "true is not supported");
    Json single = Json::array(), special = Json::object();
    const auto add = [&](const char* flag, bool otherwise, const char* key, std::size_t id) {
      if (!gguf_.flag(flag).value_or(otherwise)) return;
      const auto token = named(key, id);
      if (!token) gguf_.wrong(key, std::string("a token, because of '") + flag + "'", "nothing");
      const std::string text(text_of(*token));
      single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
      special[text] = {{"id", text}, {"ids", {*token}}, {"tokens", {text}}};
    };
    add("tokenizer.ggml.add_bos_token", by_scores_ || (pre_ != nullptr && pre_->add_bos), "tokenizer.ggml.bos_token_id",
        1);
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    add("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id", 2);
    if (single.size() == 1) return;
    out_.rest["post_processor"] = {
        {"type", "TemplateProcessing"}, {"single", std::move(single)}, {"special_tokens", std::move(special)}};
  }

  const GgufFile& gguf_;
  TokenizerFile out_;
  std::string model_;
  bool by_scores_ = false, is_gemma_ = false;
  const GgufPreTokenizer* pre_ = nullptr;
  std::vector<TokenKind> kinds_;
  std::vector<TokenizerFile::Text> texts_;  ///< size 0: no token has the id
  std::unordered_map<std::string_view, std::size_t> ids_;
};

}  // namespace

TokenizerFile gguf_tokenizer(const GgufFile& file) { return TokenizerBuilder(file).build(); }

std::optional<std::string> gguf_token_text(const GgufFile& file, const char* key) {
  const auto id = file.integer(key);
  const auto tokens = id ? file.texts(kTokens) : std::nullopt;
  if (!tokens) return std::nullopt;
  if (std::cmp_greater_equal(*id, tokens->size()))
    file.wrong(key, "a token below " + std::to_string(tokens->size()), std::to_string(*id));
  return std::string((*tokens)[static_cast<std::size_t>(*id)]);
}

}  // namespace anabranch::hf::impl
