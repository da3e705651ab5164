// Prompts equal those that `transformers` renders: sums recorded by record_tokenizer.py. Models' templates are read
// from the packages that carry them; the families that none carries have a template of ours in templates/.

#include <anabranch/hf/chat_template.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <utility>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;

namespace {

const std::vector<std::vector<hf::Message>>& conversations() {
  static const auto all = [] {
    std::vector<std::vector<hf::Message>> result;
    for (const Json& chat : Json::parse(test::read(test::recordings() / "../conversations.json"))) {
      result.emplace_back();
      for (const Json& message : chat) result.back().push_back({message["role"], message["content"]});
    }
    return result;
  }();
  return all;
}

std::string sum(std::string_view text) {
  std::uint64_t total = 0xcbf29ce484222325u;
  for (const char c : text) total = (total ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char sum[64];
  std::snprintf(sum, sizeof sum, "%zu %016llx", text.size(), static_cast<unsigned long long>(total));
  return sum;
}

constexpr std::int64_t kNow = 1721995200;  // noon of 26 Jul 2024

hf::ChatTemplate parsed(const std::string& jinja) {
  return hf::ChatTemplate::parse(jinja, {{"bos_token", "<|begin_of_text|>"}, {"eos_token", "</s>"}}, "a template");
}
bool has_engine() {
  if (parsed("").family == hf::ChatFamily::jinja) return true;
  WARN(test::kNoEngine);
  return false;
}

/// Compares all renderings that are recorded for `name` and returns how many there are.
int compare(const std::string& name, const hf::ChatTemplate& chat) {
  int n = 0;
  for (const std::string& line : test::lines_of(test::recordings() / "chat.sums")) {
    std::istringstream row(line);
    std::string of, start, thinking;
    std::size_t conversation = 0;
    if (!(row >> of >> conversation >> start >> thinking) || of != name) continue;
    const hf::RenderOptions options{start == "add" ? hf::AnswerStart::add : hf::AnswerStart::none,
                                    thinking == "off" ? hf::Thinking::off : hf::Thinking::on, kNow};
    const std::string text = chat.render(conversations().at(conversation), options);
    INFO(line << "\nrendered here:\n" << text);
    CHECK(sum(text) == line.substr(line.find(thinking) + thinking.size() + 1));
    ++n;
  }
  return n;
}

/// A template's text, after a check that it is the one that was recorded.
std::string recorded(const std::filesystem::path& folder, const std::string& name) {
  const std::string jinja = test::read(folder / (name + ".jinja"));
  const std::vector<std::string> lines = test::lines_of(test::recordings() / "chat.sums");
  INFO(name << " is not the template that was recorded: run record_tokenizer.py again");
  REQUIRE(std::count(lines.begin(), lines.end(), name + " " + sum(jinja)) == 1);
  return jinja;
}

}  // namespace

TEST_CASE("Templates of our own render as transformers does") {
  if (!has_engine()) return;
  const std::filesystem::path folder = test::recordings() / "../templates";
  CHECK(compare("chatml_with_system", parsed(recorded(folder, "chatml_with_system"))) == 20);
  CHECK(compare("llama3_undated", parsed(recorded(folder, "llama3_undated"))) == 20);
}

TEST_CASE("Templates of supported models render as transformers does") {
  const std::filesystem::path folder = test::chat_templates();
  if (folder.empty()) {
    WARN(test::kNoChatTemplates);
    return;
  }
  if (!has_engine()) return;
  for (const char* name : {"Qwen-Qwen2.5-7B-Instruct", "MiMo-VL", "meta-llama-Llama-3.1-8B-Instruct",
                           "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"})
    CHECK(compare(name, parsed(recorded(folder, name))) == 20);
  CHECK(compare("Qwen-Qwen3-0.6B", parsed(recorded(folder, "Qwen-Qwen3-0.6B"))) == 40);  // with thoughts and without
  CHECK(compare("Qwen-QwQ-32B", parsed(recorded(folder, "Qwen-QwQ-32B"))) == 12);  // chats that end with a question
}

TEST_CASE("Templates that are known as a whole render without the engine as transformers does") {
  const std::filesystem::path folder = test::chat_templates();
  if (folder.empty()) {
    WARN(test::kNoChatTemplates);
    return;
  }
  for (const char* name : {"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct",
                           "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"}) {
    std::string jinja = recorded(folder, name);
    const hf::ChatTemplate chat = hf::ChatTemplate::recognise(jinja);
    CHECK(compare(name, chat) == (std::string(name) == "Qwen-Qwen3-0.6B" ? 40 : 20));
    jinja[jinja.size() / 2] ^= 1;  // one bit is enough for another program
    CHECK(hf::ChatTemplate::recognise(jinja).family == hf::ChatFamily::unknown);
  }
}

TEST_CASE("Templates of models that write other turns are not taken for a family") {
  const std::filesystem::path folder = test::chat_templates();
  if (folder.empty()) {
    WARN(test::kNoChatTemplates);
    return;
  }
  for (const char* name :
       {"google-gemma-2-2b-it", "microsoft-Phi-3.5-mini-instruct", "mistralai-Mistral-Nemo-Instruct-2407",
        "openai-gpt-oss-120b", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "moonshotai-Kimi-K2", "GLM-4.6",
        "ibm-granite-granite-3.3-2B-Instruct", "Qwen3-Coder", "LFM2.5-Instruct", "llama-cpp-rwkv-world"}) {
    INFO(name);
    CHECK(hf::ChatTemplate::recognise(test::read(folder / (std::string(name) + ".jinja"))).family ==
          hf::ChatFamily::unknown);
  }
}

TEST_CASE("SmolLM2 without a system message gets its own, with the engine and without") {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return;
  }
  const Json settings = Json::parse(test::read(test::model_folder() / "tokenizer_config.json"));
  const std::string jinja = settings["chat_template"], system =
                                                           "You are a helpful AI assistant named SmolLM, trained by "
                                                           "Hugging Face";
  const hf::ChatTemplate known = hf::ChatTemplate::recognise(jinja);
  CHECK(known.default_system == system);
  const std::vector<hf::Message> messages{{"user", "Hi"}};
  for (const hf::ChatTemplate& chat : {known, hf::ChatTemplate::load(test::model_folder())}) {
    CHECK(compare("SmolLM2", chat) == 20);
    CHECK(chat.render(messages) ==
          "<|im_start|>system\n" + system + "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  }
  // Qwen2 has the same template with another system message.
  std::string qwen2 = jinja;
  qwen2.replace(qwen2.find(system), system.size(), "You are a helpful assistant.");
  const hf::ChatTemplate chat = hf::ChatTemplate::recognise(qwen2);
  CHECK(chat.default_system == "You are a helpful assistant.");
  if (has_engine()) CHECK(chat.render(messages) == parsed(qwen2).render(messages));
}

TEST_CASE("A family can be chosen") {
  const std::vector<hf::Message> messages{{"system", "Be brief."}, {"user", "Hi"}};
  CHECK(hf::ChatTemplate::of(hf::ChatFamily::plain).render(messages) == "Be brief.\n\nHi");
  CHECK(hf::ChatTemplate::of(hf::ChatFamily::chatml).render(messages) ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  CHECK(hf::ChatTemplate::of(hf::ChatFamily::llama3).render(messages, {.answer_start = hf::AnswerStart::none}) ==
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
}

TEST_CASE("What cannot be rendered is refused") {
  const auto chat = hf::ChatTemplate::of(hf::ChatFamily::chatml);
  const std::vector<hf::Message> none, tool{{"user", "a"}, {"tool", "b"}}, fine{{"user", "a"}}, bad{{"user", "a\xff"}};
  CHECK(test::error_of([&] { chat.render(none); }) == "bad_argument: messages: expected at least one, found none");
  CHECK(test::error_of([&] { chat.render(tool); }) ==
        "bad_argument: message 1: expected the role system, user or assistant, found \"tool\"");
  CHECK(test::error_of([&] { chat.render(bad); }) == "bad_argument: message 0: not well-formed UTF-8 at byte 1 of 2");
  CHECK(test::error_of([&] { hf::ChatTemplate::of(hf::ChatFamily::unknown).render(fine); }) ==
        "unsupported: the model's chat template is of no known family; or choose one: plain, chatml or llama3");
  const auto error_of = [&](const char* jinja) {
    const hf::ChatTemplate unknown = parsed(jinja);
    return test::error_of([&] { unknown.render(fine); });
  };
  if (!has_engine()) {
    const std::string error = error_of("{{ messages[0].content }}");
    for (const char* part : {"unsupported: a template: ", "cmake/setup/jinja.sh", "-DANABRANCH_JINJA_DIR", "chatml"})
      CHECK(error.find(part) != std::string::npos);
    return;
  }
  CHECK(error_of("{{ raise_exception('Only one turn!') }}") ==
        "bad_argument: a template: the template refuses these messages: Only one turn!");
  for (const auto& [jinja, part] : {std::pair{"{% include 'other' %}", "include"},
                                    {"{{ 'a' | pprint }}", "filter 'pprint'"},
                                    {"{% if 1 %}", "Unexpected"},
                                    {"{{ 1 < 2 < 3 }}", "chained comparisons"},
                                    {"x\n{{ 1 is prime }}", "line 2"},
                                    {"{{ 1 is prime }}", "test 'prime'"},
                                    {"{{ nothing.content }}", "'nothing' is undefined"}}) {
    INFO(jinja << ": " << error_of(jinja));
    CHECK(error_of(jinja).find("unsupported: a template: the template cannot be ") == 0);
    CHECK(error_of(jinja).find(part) != std::string::npos);
  }
}

TEST_CASE("The template is found in its own file, in the settings, by name, or nowhere") {
  const test::TemporaryFolder folder;
  const std::vector<hf::Message> messages{{"user", "Hi"}};
  const auto load = [&] { return hf::ChatTemplate::load(folder.path()); };
  CHECK(load().family == hf::ChatFamily::plain);
  const std::string first = "{{ bos_token }}first", second = "{{ bos_token }}{{ eos_token }}second",
                    class_key = "tokenizer_class";
  const Json named{{"name", "tool_use"}, {"template", first}}, usual{{"name", "default"}, {"template", second}};
  Json settings{{"chat_template", {named, usual}}, {"bos_token", {{"content", "<bos>"}}}, {"eos_token", nullptr}};
  const auto save = [&] { test::write(folder / "tokenizer_config.json", settings.dump()); };
  save();
  const bool engine = has_engine();
  if (engine) CHECK(load().render(messages) == "<bos>second");
  settings["chat_template"] = first;
  save();
  if (engine) CHECK(load().render(messages) == "<bos>first");
  CHECK(load().tokens.at("bos_token") == "<bos>");
  test::write(folder / "chat_template.jinja", second);
  if (engine) CHECK(load().render(messages) == "<bos>second");
  // A token that is not named is what the class says, or unknown.
  settings.erase("bos_token");
  settings[class_key] = "LlamaTokenizerFast";
  save();
  if (engine) CHECK(load().render(messages) == "<s>second");
  settings[class_key] = "OwnTokenizer";
  save();
  const std::string error = test::error_of([&] { load().render(messages); });
  INFO(error);
  CHECK(error.find("the template writes 'bos_token', which") != std::string::npos);
  CHECK(error.find("\"OwnTokenizer\"") != std::string::npos);
  test::write(folder / "special_tokens_map.json", R"({"bos_token": {"content": "<old>"}})");
  if (engine) CHECK(load().render(messages) == "<old>second");
  settings["added_tokens_decoder"] = Json::object();  // transformers then reads no special_tokens_map.json
  save();
  CHECK(load().family == hf::ChatFamily::unknown);
  test::write(folder / "tokenizer_config.json", R"({"chat_template": 3})");
  CHECK(test::error_of(load).find("'chat_template': expected a string or an array of named templates, found 3") !=
        std::string::npos);
  test::write(folder / "tokenizer_config.json", R"({"chat_template": []})");
  CHECK(test::error_of(load).find("expected a template named \"default\"") != std::string::npos);
}
