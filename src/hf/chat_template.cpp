#include <anabranch/hf/chat_template.hpp>

#include <array>
#include <utility>

#include <anabranch/hf/gguf.hpp>
#include <anabranch/utf8.hpp>

#include "chat_families.hpp"
#include "gguf_config.hpp"
#include "jinja_template.hpp"
#include "json_file.hpp"
#include "utf8.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;
using Tokens = std::map<std::string, std::string>;

/// FNV-1a of a template's bytes, and which template that is. tests/hf/chat_template_test.cpp holds each of them against
/// what transformers renders with the template itself.
struct Known {
  std::uint64_t sum;
  std::size_t n_bytes;
  ChatFamily family;
  const char* default_system;  // ChatML
  bool think_blocks;           // ChatML
  const char* today;           // Llama 3
};
constexpr std::array kKnown{
    Known{0x45ec583d4d25bc3a, 368, ChatFamily::chatml,
          "You are a helpful AI assistant named SmolLM, trained by Hugging Face", false, nullptr},       // SmolLM2
    Known{0x8a87094e0e1e24c5, 328, ChatFamily::chatml, "You are a helpful assistant.", false, nullptr},  // Qwen2
    Known{0xc2b27ee60f1b8775, 2507, ChatFamily::chatml,
          "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", false, nullptr},  // Qwen2.5
    Known{0x2bfdb7aa9754484e, 4116, ChatFamily::chatml, "", true, nullptr},                         // Qwen3
    Known{0x60848a05837ce656, 4614, ChatFamily::llama3, "", false, "26 Jul 2024"},                  // Llama 3.1, 3.3
    Known{0x0ac29b9538e2befa, 3827, ChatFamily::llama3, "", false, ""},                             // Llama 3.2
};

std::uint64_t sum_of(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325u;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return sum;
}

void check_messages(std::span<const Message> messages) {
  if (messages.empty()) fail(Status::bad_argument, "messages: expected at least one, found none");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (role != "system" && role != "user" && role != "assistant")
      fail(Status::bad_argument, "message ", i, ": expected the role system, user or assistant, found \"", role, "\"");
    if (const std::size_t bad = first_bad_utf8(content); bad != content.size())
      fail(Status::bad_argument, "message ", i, ": not well-formed UTF-8 at byte ", bad, " of ", content.size());
  }
}

// One template, or several by name of which "default" is meant.
std::optional<std::string> template_of(const JsonObject& config) {
  const Json* value = config.find("chat_template");
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) config.wrong("chat_template", "a string or an array of named templates", *value);
  for (const Json& entry : *value) {
    const JsonObject named(entry, config.where() + ": 'chat_template'");
    if (named.text("name") == "default") return named.text("template");
  }
  config.wrong("chat_template", "a template named \"default\"", *value);
}

// The tokens that transformers' tokenizer classes take where the settings do not name one.
struct ClassTokens {
  std::string_view name;
  const char *bos, *eos, *unk, *pad;
};
constexpr std::array kClasses{
    ClassTokens{"LlamaTokenizer", "<s>", "</s>", "<unk>", nullptr},
    ClassTokens{"GemmaTokenizer", "<bos>", "<eos>", "<unk>", "<pad>"},
    ClassTokens{"Qwen2Tokenizer", nullptr, "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"},
    ClassTokens{"GPT2Tokenizer", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>", nullptr},
    ClassTokens{"GPTNeoXTokenizer", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "<|padding|>"},
    ClassTokens{"PreTrainedTokenizer", nullptr, nullptr, nullptr, nullptr},
    ClassTokens{"TokenizersBackend", nullptr, nullptr, nullptr, nullptr},
};
constexpr const char* kTokenNames[]{"bos_token", "eos_token", "unk_token", "pad_token"};

/// The special tokens of a folder: a string, or an object with its content, for every key that ends in _token.
class SpecialTokens {
 public:
  void read(const JsonObject& config) {
    for (const auto& [key, value] : config.json().items()) {
      if (!std::string_view(key).ends_with("_token")) continue;
      if (value.is_string() || value.is_null())
        set(key, value.is_null() ? "" : value.get<std::string>(), value.is_null());
      else if (value.is_object() && value.contains("content"))
        set(key, config.object(key.c_str()).text("content"), false);
    }
  }
  /// Fills in what the class says. Returns the name of a token that `jinja` writes and nobody names, or nothing.
  std::optional<std::string> complete(std::string_view tokenizer_class, std::string_view jinja) {
    if (tokenizer_class.ends_with("Fast")) tokenizer_class.remove_suffix(4);
    const ClassTokens* known = nullptr;
    for (const ClassTokens& entry : kClasses)
      if (entry.name == tokenizer_class) known = &entry;
    for (std::size_t i = 0; i < std::size(kTokenNames); ++i) {
      if (named_.count(kTokenNames[i]) != 0) continue;
      if (known == nullptr) {
        if (jinja.find(kTokenNames[i]) != std::string_view::npos) return kTokenNames[i];
        continue;
      }
      const char* const texts[]{known->bos, known->eos, known->unk, known->pad};
      if (texts[i] != nullptr) texts_[kTokenNames[i]] = texts[i];
    }
    return std::nullopt;
  }
  Tokens texts() && { return std::move(texts_); }

 private:
  void set(const std::string& key, const std::string& text, bool none) {
    named_[key] = true;
    texts_.erase(key);
    if (!none) texts_[key] = text;
  }
  std::map<std::string, bool> named_;  // null is a name, too: there is no such token
  Tokens texts_;
};

ChatTemplate refused(std::string text) {
  ChatTemplate chat;
  chat.family = ChatFamily::unknown;
  chat.refusal = std::move(text);
  return chat;
}

}  // namespace

void Rendering::add_content(std::size_t begin, std::size_t end) {
  if (!contents.empty() && contents.back().end == begin)
    contents.back().end = end;
  else
    contents.push_back({begin, end});
}

ChatTemplate ChatTemplate::of(ChatFamily family) {
  if (family == ChatFamily::unknown) return refused("the model's chat template is of no known family");
  ChatTemplate chat;
  chat.family = family;
  if (family == ChatFamily::llama3) chat.begin_of_text = "<|begin_of_text|>";
  return chat;
}

ChatTemplate ChatTemplate::recognise(std::string_view jinja) {
  const std::uint64_t sum = sum_of(jinja);
  for (const Known& known : kKnown) {
    if (known.sum != sum || known.n_bytes != jinja.size()) continue;
    ChatTemplate chat = of(known.family);
    chat.default_system = known.default_system;
    chat.think_blocks = known.think_blocks;
    chat.dated_system = known.today != nullptr;
    if (known.today != nullptr) chat.today = known.today;
    return chat;
  }
  return of(ChatFamily::unknown);
}

ChatTemplate ChatTemplate::parse(std::string_view jinja, std::map<std::string, std::string> tokens,
                                 const std::string& name) {
  if (!impl::JinjaTemplate::available()) {
    if (ChatTemplate chat = recognise(jinja); chat.family != ChatFamily::unknown) {
      if (chat.family == ChatFamily::llama3) chat.begin_of_text = tokens["bos_token"];
      chat.tokens = std::move(tokens);
      return chat;
    }
  }
  try {
    ChatTemplate chat;
    chat.jinja = impl::JinjaTemplate::parse(jinja, name);
    chat.family = ChatFamily::jinja;
    chat.tokens = std::move(tokens);
    return chat;
  } catch (const Error& error) {
    if (error.status() != Status::unsupported) throw;
    return refused(error.what());
  }
}

ChatTemplate ChatTemplate::load(const std::filesystem::path& folder) {
  if (is_gguf(folder)) return impl::gguf_chat_template(impl::open_gguf(folder).front());
  std::optional<std::string> jinja;
  SpecialTokens special;
  std::string tokenizer_class;
  std::error_code error;
  const std::filesystem::path settings = folder / "tokenizer_config.json", file = folder / "chat_template.jinja",
                              legacy = folder / "special_tokens_map.json";
  std::string where = settings.string();
  bool has_added_tokens = false;
  if (std::filesystem::exists(settings, error)) {
    const Json json = impl::parse_json(impl::read_file(settings), settings.string());
    const JsonObject config(json, settings.string());
    jinja = template_of(config);
    tokenizer_class = config.optional_text("tokenizer_class").value_or("");
    has_added_tokens = config.json().contains("added_tokens_decoder");
    special.read(config);
  }
  if (!has_added_tokens && std::filesystem::exists(legacy, error)) {
    const Json json = impl::parse_json(impl::read_file(legacy), legacy.string());
    special.read(JsonObject(json, legacy.string()));
  }
  if (std::filesystem::exists(file, error)) {
    jinja = impl::read_file(file);
    where = file.string();
  }
  if (!jinja) {
    ChatTemplate chat = of(ChatFamily::plain);
    chat.tokens = std::move(special).texts();
    return chat;
  }
  if (const auto missing = special.complete(tokenizer_class, *jinja))
    return refused(where + ": the template writes '" + *missing + "', which " + settings.string() +
                   " does not name, and what the tokenizer class \"" + tokenizer_class +
                   "\" takes for it is not known here; name it there (null where there is none)");
  return parse(*jinja, std::move(special).texts(), where);
}

Rendering ChatTemplate::render_parts(std::span<const Message> messages, RenderOptions options) const {
  check_messages(messages);
  switch (family) {
    case ChatFamily::plain: return impl::render_plain(messages);
    case ChatFamily::chatml: return impl::render_chatml(*this, messages, options);
    case ChatFamily::llama3: return impl::render_llama3(*this, messages, options);
    case ChatFamily::jinja:
      if (jinja != nullptr) return jinja->render(messages, {tokens, options});
      break;
    case ChatFamily::unknown: break;
  }
  fail(Status::unsupported, refusal.empty() ? "the model's chat template is of no known family" : refusal,
       "; or choose one: plain, chatml or llama3");
}

std::vector<std::string> ChatTemplate::behind_answers() const {
  const std::vector<Message> messages{{"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  std::vector<std::string> found;
  for (const std::size_t n : {2, 3}) try {
      const Rendering whole = render_parts(std::span(messages).first(n), {.answer_start = AnswerStart::none});
      for (const TextRange& range : whole.contents) {
        const std::size_t begin = whole.text.find_first_not_of(" \t\r\n", range.end);
        if (whole.text.substr(range.begin, range.end - range.begin) == "b" && begin != std::string::npos)
          found.push_back(whole.text.substr(begin));
      }
    } catch (const Error& error) {
      if (error.status() != Status::unsupported && error.status() != Status::bad_argument) throw;
    }
  return found;
}

std::string ChatTemplate::render(std::span<const Message> messages, RenderOptions options) const {
  return render_parts(messages, options).text;
}

}  // namespace anabranch::hf
