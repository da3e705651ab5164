// Prompts equal those that `transformers` renders: recordings made by record_tokenizer.py.

#include <anabranch/hf/chat_template.hpp>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;

namespace {

std::vector<hf::Message> messages_of(const Json& json) {
  std::vector<hf::Message> messages;
  for (const Json& message : json) messages.push_back({message["role"], message["content"]});
  return messages;
}

}  // namespace

TEST_CASE("Recognised chat templates render as transformers does") {
  const Json templates = Json::parse(test::read(test::recordings() / "templates.json"));
  int n = 0;
  for (const std::string& line : test::lines_of(test::recordings() / "chat.jsonl")) {
    const Json row = Json::parse(line);
    const std::string name = row["template"];
    const hf::ChatTemplate chat = hf::ChatTemplate::recognise(templates[name].get<std::string>());
    const hf::RenderOptions options{
        row["add_generation_prompt"].get<bool>() ? hf::AnswerStart::add : hf::AnswerStart::none,
        row["enable_thinking"].get<bool>() ? hf::Thinking::as_trained : hf::Thinking::off};
    INFO(line);
    CHECK(chat.render(messages_of(row["messages"]), options) == row["text"].get<std::string>());
    ++n;
  }
  CHECK(n == 140);
}

TEST_CASE("SmolLM2 without a system message gets its own") {
  const Json templates = Json::parse(test::read(test::recordings() / "templates.json"));
  const auto chat = hf::ChatTemplate::recognise(templates["smollm2"].get<std::string>());
  CHECK(chat.family == hf::ChatFamily::chatml);
  CHECK(chat.default_system == "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  const std::vector<hf::Message> messages{{"user", "Hi"}};
  CHECK(chat.render(messages) ==
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
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
