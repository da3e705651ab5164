// Chat messages to prompt tokens, so that no message can pass for the template's own special tokens.
#pragma once

#include <span>
#include <vector>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/tokenizer.hpp>

namespace anabranch::hf {

/// Tokens of the rendered chat. The same as encoding the rendered text, but for messages that spell special tokens:
/// those stay text. Throws what rendering and encoding throw.
std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, RenderOptions options = {});

}  // namespace anabranch::hf
