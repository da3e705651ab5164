#include <anabranch/train/token_row.hpp>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include <anabranch/hf/prompt.hpp>

namespace anabranch::train {
namespace {

enum class Origin : std::uint8_t { sampled, given };

/// Writes a row token by token and notes which row predicts which.
class RowWriter {
 public:
  explicit RowWriter(const std::string& id) { row_.id = id; }

  void append(TokenId token, TokenKind kind, Origin origin = Origin::sampled) {
    layout_.append();
    // The row before is its own line's: flat order is the line's order wherever a token is sampled.
    if (origin == Origin::sampled && !row_.targets.empty()) {
      row_.targets.back() = token;
      row_.target_kinds.back() = kind;
    }
    row_.tokens.push_back(token);
    row_.kinds.push_back(kind);
    row_.targets.push_back(kNone);
    row_.target_kinds.push_back(TokenKind::prompt);
  }
  void append(std::span<const TokenId> tokens, TokenKind kind, Origin origin = Origin::sampled) {
    for (const TokenId token : tokens) append(token, kind, origin);
  }
  RowLayout& layout() noexcept { return layout_; }

  TokenRow finish() {
    row_.positions = layout_.positions();
    row_.runs = layout_.runs();
    row_.causal = layout_.is_causal();
    return std::move(row_);
  }

 private:
  TokenRow row_;
  RowLayout layout_;
};

/// The answer in markup.
class AspdWriter {
 public:
  AspdWriter(RowWriter& out, const hf::Tokenizer& tokenizer, const markup::AspdTags& tags, Positions positions)
      : out_(out), tokenizer_(tokenizer), tags_(tags), positions_(positions) {}

  void write(std::span<const Part> parts, bool in_branch) {
    TokenKind kind = in_branch ? TokenKind::branch : TokenKind::serial;
    std::string text;  // neighbours are one text
    for (const Part& part : parts) {
      if (part.branches.empty()) {
        text += part.text;
        continue;
      }
      write_text(text, kind);
      write_block(part);
      if (!in_branch) kind = TokenKind::after_join;
    }
    write_text(text, kind);
    last_kind_ = kind;
  }
  /// Kind of what ends the answer.
  TokenKind last_kind() const noexcept { return last_kind_; }

 private:
  void write_text(std::string& text, TokenKind kind) {
    out_.append(tokenizer_(text), kind);
    text.clear();
  }

  void write_block(const Part& part) {
    std::vector<std::vector<TokenId>> titles;
    for (const Branch& branch : part.branches) {
      titles.push_back(tokenizer_(branch.title));
      out_.append(tags_.title, TokenKind::tag);
      out_.append(titles.back(), TokenKind::title);
      out_.append(tags_.title_end, TokenKind::tag);
    }
    out_.append(tags_.para, TokenKind::tag);
    out_.layout().fork(static_cast<std::int32_t>(titles.size()), positions_);
    for (std::size_t k = 0; k < titles.size(); ++k) write_branch(part.branches[k], titles[k]);
    out_.layout().join();
    out_.append(tags_.para_end, TokenKind::tag, Origin::given);
  }

  void write_branch(const Branch& branch, const std::vector<TokenId>& title) {
    out_.layout().begin_branch();
    out_.append(tags_.branch, TokenKind::tag, Origin::given);
    out_.append(title, TokenKind::title, Origin::given);
    if (!title.empty()) out_.append(tags_.title_separator, TokenKind::title, Origin::given);
    write(branch.parts, true);
    out_.append(tags_.branch_end, TokenKind::tag);
    out_.layout().end_branch();
  }

  RowWriter& out_;
  const hf::Tokenizer& tokenizer_;
  const markup::AspdTags& tags_;
  Positions positions_;
  TokenKind last_kind_ = TokenKind::serial;
};

/// The answer as a reader sees it, with the kind of each piece.
class ReadingText {
 public:
  explicit ReadingText(std::string separator) : separator_(std::move(separator)) {}

  void add(std::span<const Part> parts, bool in_branch) {
    for (const Part& part : parts) {
      if (part.branches.empty()) add(part.text, in_branch ? TokenKind::branch : last_kind_);
      for (const Branch& branch : part.branches) {
        if (!branch.title.empty()) add(branch.title + separator_, TokenKind::title);
        add(branch.parts, true);
      }
      if (!part.branches.empty() && !in_branch) last_kind_ = TokenKind::after_join;
    }
  }

  /// Tokens take the kind of the piece that their first byte is in.
  void write(RowWriter& out, const hf::Tokenizer& tokenizer) const {
    std::size_t at = 0, piece = 0;
    for (const TokenId token : tokenizer(text_)) {
      while (piece + 1 < pieces_.size() && at >= pieces_[piece].first) ++piece;
      out.append(token, pieces_[piece].second);
      at += tokenizer.token_bytes(token).size();
    }
  }
  TokenKind last_kind() const noexcept { return last_kind_; }

 private:
  void add(const std::string& text, TokenKind kind) {
    text_ += text;
    pieces_.emplace_back(text_.size(), kind);
  }

  std::string separator_;
  std::string text_;
  std::vector<std::pair<std::size_t, TokenKind>> pieces_;  ///< end in text_, kind
  TokenKind last_kind_ = TokenKind::serial;
};

/// The token that ends an answer in this chat template: the end-of-text token that follows an assistant's message, or
/// the model's first one where the template writes none.
TokenId end_of_answer_of(const hf::ModelText& text, const std::vector<TokenId>& end_of_text) {
  if (end_of_text.empty()) fail(Status::unsupported, "the model's config names no end-of-text token");
  const std::vector<hf::Message> chat{{"user", "a"}, {"assistant", "b"}};
  const std::vector<TokenId> tokens =
      hf::encode_chat(text.tokenizer, text.chat, chat, {.answer_start = hf::AnswerStart::none});
  const auto ends = [&](TokenId t) {
    return std::find(end_of_text.begin(), end_of_text.end(), t) != end_of_text.end();
  };
  const auto found = std::find_if(tokens.rbegin(), tokens.rend(), ends);
  return found != tokens.rend() ? *found : end_of_text.front();
}

}  // namespace

const char* token_kind_name(TokenKind kind) noexcept {
  switch (kind) {
    case TokenKind::prompt: return "prompt";
    case TokenKind::serial: return "serial";
    case TokenKind::title: return "title";
    case TokenKind::branch: return "branch";
    case TokenKind::tag: return "tag";
    case TokenKind::after_join: return "after_join";
  }
  return "unknown";
}

std::int32_t TokenRow::n_targets() const noexcept {
  return static_cast<std::int32_t>(std::count_if(targets.begin(), targets.end(), [](TokenId t) { return t != kNone; }));
}

Renderer::Renderer(hf::ModelText text, std::vector<TokenId> end_of_text, const RenderOptions& options)
    : text_(std::move(text)), options_(options), end_(end_of_answer_of(text_, end_of_text)) {
  if (options.rendering == Rendering::serial) return;
  tags_ = markup::Aspd(text_.markup.tags(text_.tokenizer)).tags();
  if (!options.positions.valid() || options.positions.is_given())
    fail(Status::bad_argument, "positions must be sequential, longest or reserved with a count");
}

TokenRow Renderer::render(const Sample& sample) const {
  RowWriter out(sample.id);
  std::vector<hf::Message> chat;
  if (!sample.system.empty()) chat.push_back({"system", sample.system});
  chat.push_back({"user", sample.prompt});
  out.append(hf::encode_chat(text_.tokenizer, text_.chat, chat), TokenKind::prompt, Origin::given);
  if (options_.rendering == Rendering::aspd) {
    AspdWriter answer(out, text_.tokenizer, tags_, options_.positions);
    answer.write(sample.parts, false);
    out.append(end_, answer.last_kind());
  } else {
    ReadingText answer(text_.markup.title_separator);
    answer.add(sample.parts, false);
    answer.write(out, text_.tokenizer);
    out.append(end_, answer.last_kind());
  }
  return out.finish();
}

}  // namespace anabranch::train
