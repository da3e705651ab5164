// Prompts equal those that `transformers` renders: sums recorded by record_tokenizer.py. Models' templates are read
// from the packages that carry them; the families that none carries have a template of ours in templates/.

#include <anabranch/hf/chat_template.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <sstream>

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

/// Compares all renderings that are recorded for `name` and returns how many there are.
int compare(const std::string& name, const hf::ChatTemplate& chat) {
  int n = 0;
  for (const std::string& line : test::lines_of(test::recordings() / "chat.sums")) {
    std::istringstream row(line);
    std::string of, start, thinking;
    std::size_t conversation = 0;
    if (!(row >> of >> conversation >> start >> thinking) || of != name) continue;
    const hf::RenderOptions options{start == "add" ? hf::AnswerStart::add : hf::AnswerStart::none,
                                    thinking == "off" ? hf::Thinking::off : hf::Thinking::as_trained};
    const std::string text = chat.render(conversations().at(conversation), options);
    INFO(line << "\nrendered here:\n" << text);
    CHECK(sum(text) == line.substr(line.find(thinking) + thinking.size() + 1));
    ++n;
  }
  return n;
}

/// The same for the template in `folder`, after a check that it is the one that was recorded.
int compare(const std::filesystem::path& folder, const std::string& name) {
  const std::string jinja = test::read(folder / (name + ".jinja"));
  const std::vector<std::string> lines = test::lines_of(test::recordings() / "chat.sums");
  INFO(name << " is not the template that was recorded: run record_tokenizer.py again");
  REQUIRE(std::count(lines.begin(), lines.end(), name + " " + sum(jinja)) == 1);
  return compare(name, hf::ChatTemplate::recognise(jinja));
}

}  // namespace

TEST_CASE("Templates of our own render as transformers does") {
  const std::filesystem::path folder = test::recordings() / "../templates";
  CHECK(compare(folder, "chatml_with_system") == 20);
  CHECK(compare(folder, "llama3_undated") == 20);
}

TEST_CASE("Templates of supported models render as transformers does") {
  const std::filesystem::path folder = test::chat_templates();
  if (folder.empty()) {
    WARN(test::kNoChatTemplates);
    return;
  }
  for (const char* name : {"Qwen-Qwen2.5-7B-Instruct", "MiMo-VL", "meta-llama-Llama-3.1-8B-Instruct",
                           "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"})
    CHECK(compare(folder, name) == 20);
  CHECK(compare(folder, "Qwen-Qwen3-0.6B") == 40);  // with thoughts and without
  CHECK(compare(folder, "Qwen-QwQ-32B") == 12);     // conversations that end with a question
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

TEST_CASE("SmolLM2 without a system message gets its own") {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return;
  }
  const auto chat = hf::ChatTemplate::load(test::model_folder());
  CHECK(compare("SmolLM2", chat) == 20);
  CHECK(chat.family == hf::ChatFamily::chatml);
  CHECK(chat.default_system == "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  const std::vector<hf::Message> messages{{"user", "Hi"}};
  CHECK(chat.render(messages) == "<|im_start|>system\n" + chat.default_system +
                                     "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("What a family leaves open is read out of the template") {
  const auto recognise = [](const char* name) {
    return hf::ChatTemplate::recognise(test::read(test::recordings() / "../templates" / name));
  };
  const std::vector<hf::Message> messages{{"user", "Hi"}};
  const hf::ChatTemplate chatml = recognise("chatml_with_system.jinja");
  CHECK(chatml.family == hf::ChatFamily::chatml);
  CHECK(chatml.default_system == "You answer in plain words.");
  CHECK(chatml.render(messages) ==
        "<|im_start|>system\nYou answer in plain words.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  const hf::ChatTemplate llama3 = recognise("llama3_undated.jinja");
  CHECK(llama3.family == hf::ChatFamily::llama3);
  CHECK_FALSE(llama3.dated_system);
  CHECK(llama3.render(messages) ==
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n");
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
  const std::vector<hf::Message> none, tool{{"user", "a"}, {"tool", "b"}}, fine{{"user", "a"}};
  CHECK(test::error_of([&] { chat.render(none); }) == "bad_argument: messages: expected at least one, found none");
  CHECK(test::error_of([&] { chat.render(tool); }) ==
        "bad_argument: message 1: expected the role system, user or assistant, found \"tool\"");
  for (const char* unknown :
       {"{{ messages[0].content }}", "[INST] {{ x }} [/INST]", "<|im_start|>user<|im_sep|>{{ x }}<|im_end|>"})
    CHECK(hf::ChatTemplate::recognise(unknown).family == hf::ChatFamily::unknown);
  CHECK(test::error_of([&] { hf::ChatTemplate::of(hf::ChatFamily::unknown).render(fine); }) ==
        "unsupported: the model's chat template is of no known family; choose one: plain, chatml or llama3");
}

TEST_CASE("The template is found in its own file, in the settings, by name, or nowhere") {
  const test::TemporaryFolder folder;
  const auto load = [&] { return hf::ChatTemplate::load(folder.path()); };
  CHECK(load().family == hf::ChatFamily::plain);
  const std::string chatml = "<|im_start|>{{ role }}\n{{ content }}<|im_end|>",
                    llama3 = "<|start_header_id|>{{ x }}<|eot_id|>";
  test::write(folder / "tokenizer_config.json", Json{{"chat_template", chatml}}.dump());
  CHECK(load().family == hf::ChatFamily::chatml);
  const Json named{
      {"chat_template", {{{"name", "tool_use"}, {"template", chatml}}, {{"name", "default"}, {"template", llama3}}}},
      {"bos_token", {{"content", "<bos>"}}}};
  test::write(folder / "tokenizer_config.json", named.dump());
  CHECK(load().family == hf::ChatFamily::llama3);
  CHECK(load().begin_of_text == "<bos>");
  test::write(folder / "chat_template.jinja", chatml);
  CHECK(load().family == hf::ChatFamily::chatml);
  test::write(folder / "tokenizer_config.json", R"({"chat_template": 3})");
  CHECK(test::error_of(load).find("'chat_template': expected a string or an array of named templates, found 3") !=
        std::string::npos);
  test::write(folder / "tokenizer_config.json", R"({"chat_template": []})");
  CHECK(test::error_of(load).find("expected a template named \"default\"") != std::string::npos);
}
