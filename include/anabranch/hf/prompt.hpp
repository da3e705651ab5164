// Chat messages to prompt tokens, so that no message can pass for the template's own special tokens.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/tokenizer.hpp>

namespace anabranch::hf {

/// Tokens of the rendered chat. The same as encoding the rendered text, but for messages that spell special tokens:
/// those stay text. Without a chat template (`plain`) the tokens that the tokenizer puts in front of every text come
/// first; a template writes its own. Throws what rendering and encoding throw.
std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, RenderOptions options = {});

/// How a chat goes on behind an answer that a model has just written, after the prompt of the messages before it.
struct NextTurn {
  TokenId closing = kUnknownToken;  ///< ends the answer, whatever follows: a special token
  std::vector<TokenId> rest;        ///< the messages behind the answer, and the start of the next one
};

/// `messages[answer]` is the answer, to a prompt that was rendered as `earlier` says (unset: as `options`). None where
/// the template writes what came before, or the answer, in another way now (it drops thoughts once more messages
/// follow, or writes another date): such a chat has to be encoded anew. White space at the answer's ends does not
/// count. Throws what rendering and encoding throw.
std::optional<NextTurn> encode_next_turn(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                         std::span<const Message> messages, std::size_t answer,
                                         RenderOptions options = {}, std::optional<RenderOptions> earlier = {});

/// The tokens that end an answer, beside those that config.json and generation_config.json name: the tokenizer's
/// eos_token, and the special tokens that the template writes behind an answer, as the last message and before another.
std::vector<TokenId> ends_of_turn(const Tokenizer& tokenizer, const ChatTemplate& chat);

}  // namespace anabranch::hf
