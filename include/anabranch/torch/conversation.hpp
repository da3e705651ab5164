// Conversation: questions and answers one after another, over one K/V cache that is kept from turn to turn.
//
//   Conversation chat(model, {.system = "You are brief."});
//   Answer first = chat.ask("What is a delta?"), second = chat.ask("Name one.");   // computes its own tokens only
//
// The model sees earlier answers as they were decoded: their branches as joined, tags and outlines included. What one
// turn adds to the cache is what the chat template puts behind an answer, the question, and the answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::torch {

/// Tokens that a conversation has room for when its options do not say (GenerateOptions::n_pages), or the model's
/// positions if those are fewer.
inline constexpr std::int32_t kConversationTokens = 4096;

/// The last turn's use of the cache, beside the answer's own statistics.
struct TurnStatistics {
  std::int32_t n_kept = 0;      ///< tokens of earlier turns that were in the cache, and not computed again
  std::int32_t n_computed = 0;  ///< prompt tokens that were computed: what is new, the template's tokens included
  std::int32_t n_rows = 0;      ///< of all passes of the turn: prompt, answer and rejected drafts
  bool anew = false;  ///< earlier turns were computed again from their messages: the template writes them in another
                      ///< way than they were decoded (drops thoughts, say), or their tokens were not in the cache
};

/// Not for two threads at once; conversations over one model are independent of each other and of `generate`.
class Conversation {
 public:
  /// Has K/V tensors of its own over the model's weights, which it shares. `messages` are a chat so far, to be gone on
  /// with; a system message of theirs goes before that of the options. Throws as `generate`.
  explicit Conversation(const CausalLm& model, const GenerateOptions& options = {},
                        std::vector<hf::Message> messages = {});
  Conversation(Conversation&&) noexcept;
  Conversation& operator=(Conversation&&) noexcept;
  ~Conversation();

  /// One turn. An answer that was stopped or cut is part of the conversation like any other; one that was stopped
  /// before it had text is not, nor is its question. Throws no_room when the turn does not fit behind the earlier ones,
  /// and what `generate` throws; the conversation is then as it was. An answer ends with reason limit where room ends.
  Answer ask(std::string_view question);
  /// Forgets all turns; a system message stays.
  void reset();

  /// System message if there is one, questions and answers.
  const std::vector<hf::Message>& messages() const noexcept;
  /// Of the next turns: `request`, the callbacks, `stop` and `deadline` may be changed. The rest is of the conversation
  /// as it was made.
  GenerateOptions& options() noexcept;
  const TurnStatistics& turn() const noexcept;
  std::int32_t n_tokens() const;  ///< of the history in the cache
  std::int32_t n_free_pages() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// chat.ask(question).
inline Answer generate(Conversation& chat, std::string_view question) { return chat.ask(question); }

}  // namespace anabranch::torch
