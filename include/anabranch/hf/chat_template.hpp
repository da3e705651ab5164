// Chat messages to the prompt text that a model was trained with.
//
// Model folders carry a Jinja program for this. It is not run; it is recognised: the families of the supported models
// differ in few places, which are read out of the program's text. What is not recognised must be chosen by the caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// `role` is "system" (first message only, for all families but ChatML), "user" or "assistant".
struct Message {
  std::string role;
  std::string content;
};

enum class ChatFamily : std::uint8_t {
  unknown,  ///< rendering is refused
  plain,    ///< base models: the contents, joined by blank lines
  chatml,   ///< <|im_start|>role\ncontent<|im_end|>\n (SmolLM2, Qwen2, Qwen2.5, Qwen3)
  llama3,   ///< <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
};

/// Whether the prompt ends where the assistant's answer begins.
enum class AnswerStart : std::uint8_t { add, none };
/// Whether a model that can think before it answers (Qwen3) may do so.
enum class Thinking : std::uint8_t { as_trained, off };

struct RenderOptions {
  AnswerStart answer_start = AnswerStart::add;
  Thinking thinking = Thinking::as_trained;
};

/// Plain settings: what a family leaves open. The prompt holds special tokens as text; encode it with Special::parse
/// and Surround::none. Contents are not escaped, as in Hugging Face's own rendering: a content that spells a special
/// token becomes one.
struct ChatTemplate {
  ChatFamily family = ChatFamily::plain;
  std::string default_system;         ///< ChatML: what the system message is when there is none; empty: no message then
  bool think_blocks = false;          ///< ChatML of Qwen3: thoughts of earlier turns are removed
  bool opens_thought = false;         ///< ChatML: the answer starts inside a thought
  std::string begin_of_text;          ///< Llama 3: written first
  bool dated_system = false;          ///< Llama 3.1 and later: a system message with dates is always there
  std::string today = "26 Jul 2024";  ///< the date in it; the default is that of the original templates

  /// The usual settings of a family.
  static ChatTemplate of(ChatFamily family);
  /// Recognises a Jinja chat template; family `unknown` if it cannot.
  static ChatTemplate recognise(std::string_view jinja);
  /// From `folder/chat_template.jinja` or the `chat_template` of `folder/tokenizer_config.json`; `plain` if there is
  /// neither. Throws `bad_file` for damaged files.
  static ChatTemplate load(const std::filesystem::path& folder);

  /// The prompt. Throws `bad_argument` for no messages, an unknown role or a misplaced system message, and
  /// `unsupported` for the family `unknown`.
  std::string render(std::span<const Message> messages, RenderOptions options = {}) const;
};

}  // namespace anabranch::hf
