// Chat messages to the prompt text that a model was trained with.
//
// Model folders carry a program for this, in Jinja. It is run as transformers runs it, by the engine that
// cmake/setup/jinja.sh makes; what the engine lacks is refused by name. Built without the engine, the library knows
// some templates as a whole and refuses all others, until the caller chooses a family.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/text_range.hpp>

namespace anabranch::hf {
namespace impl {
class JinjaTemplate;
}

/// `role` is "system" (templates take it as the first message, few elsewhere), "user" or "assistant".
struct Message {
  std::string role;
  std::string content;
};

enum class ChatFamily : std::uint8_t {
  unknown,  ///< rendering is refused
  plain,    ///< base models: the contents, joined by blank lines
  chatml,   ///< <|im_start|>role\ncontent<|im_end|>\n (SmolLM2, Qwen2, Qwen2.5, Qwen3)
  llama3,   ///< <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
  jinja,    ///< the model's own template
};

/// Whether the prompt ends where the assistant's answer begins.
enum class AnswerStart : std::uint8_t { add, none };
/// Whether a model that can think before it answers (Qwen3) does so. `on` and `off` set `enable_thinking` and
/// `thinking` for a template, without effect where it reads neither; `as_trained` leaves both undefined, as
/// transformers does.
enum class Thinking : std::uint8_t { as_trained, off, on };

struct RenderOptions {
  AnswerStart answer_start = AnswerStart::add;
  Thinking thinking = Thinking::as_trained;
  std::optional<std::int64_t> now =
      std::nullopt;  ///< for templates that write the date: seconds since 1970; unset: now, local time
};

/// A rendered chat, and which of its bytes come from the contents of messages: ascending, none empty, none adjacent.
struct Rendering {
  std::string text;
  std::vector<TextRange> contents;

  /// Requires that begin < end, and that no content so far ends behind begin.
  void add_content(std::size_t begin, std::size_t end);
};

/// Plain settings: what a family leaves open, or a template with the tokens that it may write. The prompt holds special
/// tokens as text; hf::encode_chat (prompt.hpp) makes tokens of it.
struct ChatTemplate {
  ChatFamily family = ChatFamily::plain;
  std::string default_system;         ///< ChatML: what the system message is when there is none; empty: no message then
  bool think_blocks = false;          ///< ChatML of Qwen3: thoughts of earlier turns are removed
  bool opens_thought = false;         ///< ChatML: the answer starts inside a thought
  std::string begin_of_text;          ///< Llama 3: written first
  bool dated_system = false;          ///< Llama 3.1 and later: a system message with dates is always there
  std::string today = "26 Jul 2024";  ///< the date in it: that of Llama 3.1 and 3.3; empty: today, as in Llama 3.2

  std::map<std::string, std::string> tokens;         ///< what bos_token, eos_token, ... are; a template may write them
  std::shared_ptr<const impl::JinjaTemplate> jinja;  ///< `jinja`: the program
  std::string refusal;                               ///< `unknown`: why, and what to do

  /// The usual settings of a family.
  static ChatTemplate of(ChatFamily family);
  /// A Jinja template; `name` stands for it in messages. Family `unknown` with the reason if it cannot be run.
  static ChatTemplate parse(std::string_view jinja, std::map<std::string, std::string> tokens, const std::string& name);
  /// The family and settings of a template that is known as a whole, byte by byte; `unknown` for any other.
  static ChatTemplate recognise(std::string_view jinja);
  /// From `folder/chat_template.jinja` or the `chat_template` of `folder/tokenizer_config.json`; `plain` if there is
  /// neither; of a GGUF file its `tokenizer.chat_template`. Throws `bad_file` for damaged files.
  static ChatTemplate load(const std::filesystem::path& folder);

  /// Throws `bad_argument` for no messages, an unknown role, or messages that the template refuses, and `unsupported`
  /// for the family `unknown` or a template that uses what the engine lacks.
  Rendering render_parts(std::span<const Message> messages, RenderOptions options = {}) const;
  /// Its text.
  std::string render(std::span<const Message> messages, RenderOptions options = {}) const;
  /// The texts behind an answer that is the last message, and behind one that another message follows, without white
  /// space in front. The tokens that these texts begin with end a turn. Empty where the template refuses such chats.
  std::vector<std::string> behind_answers() const;
};

}  // namespace anabranch::hf
