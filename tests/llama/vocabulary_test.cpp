// Vocabularies that put a blank in front of a text (SentencePiece): what stands in the midst has none, and an answer
// begins without one.
#include <gguf.h>
#include <llama.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/llama/vocabulary.hpp>

#include "catch.hpp"

namespace {

namespace ab = anabranch;
using ab::llama::Vocabulary;

/// A GGUF file with a vocabulary and nothing else: bytes, letters, and "hello" with and without a blank.
std::filesystem::path write_vocabulary() {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types{2, 3, 3};  // unknown, control
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.emplace_back(name);
    types.push_back(6);
  }
  for (const char* text : {"\xE2\x96\x81", "h", "e", "l", "o", "x", "he", "ll", "hell", "hello", "\xE2\x96\x81hello"}) {
    tokens.emplace_back(text);
    types.push_back(1);
  }
  std::vector<const char*> names;
  std::vector<float> scores;
  for (const std::string& token : tokens) {
    scores.push_back(static_cast<float>(names.size()) - 1000.0f);  // later ones merge first
    names.push_back(token.c_str());
  }
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> file(gguf_init_empty(), gguf_free);
  gguf_set_val_str(file.get(), "general.architecture", "llama");
  gguf_set_val_str(file.get(), "tokenizer.ggml.model", "llama");
  gguf_set_arr_str(file.get(), "tokenizer.ggml.tokens", names.data(), names.size());
  gguf_set_arr_data(file.get(), "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
  gguf_set_arr_data(file.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
  gguf_set_val_u32(file.get(), "tokenizer.ggml.bos_token_id", 1);
  gguf_set_val_u32(file.get(), "tokenizer.ggml.eos_token_id", 2);
  gguf_set_val_u32(file.get(), "tokenizer.ggml.unknown_token_id", 0);
  const auto path = std::filesystem::temp_directory_path() / ("anabranch-vocabulary-" + std::to_string(::getpid()));
  REQUIRE(gguf_write_to_file(file.get(), path.c_str(), true));
  return path;
}

using LlamaModel = std::unique_ptr<llama_model, void (*)(llama_model*)>;
LlamaModel sentencepiece_model() {
  const std::filesystem::path path = write_vocabulary();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  LlamaModel model(llama_model_load_from_file(path.c_str(), params), llama_model_free);
  std::filesystem::remove(path);
  REQUIRE(model != nullptr);
  return model;
}

}  // namespace

TEST_CASE("a vocabulary that puts a blank in front of a text puts none in its midst") {
  const LlamaModel model = sentencepiece_model();
  const Vocabulary vocabulary(model.get());
  for (const std::string text : {"hello hello", " hello", "1. **", "\n\n", "\xC3\xA9", ""}) {
    std::string decoded;
    vocabulary(vocabulary(text), decoded);
    CHECK(decoded == text);
  }
  CHECK(vocabulary(" hello").size() == 1);
}

TEST_CASE("a text of such a vocabulary begins with one blank less than it has in the midst") {
  const LlamaModel model = sentencepiece_model();
  const Vocabulary vocabulary(model.get());
  const std::vector<ab::TokenId> word = vocabulary(" hello"), blank = vocabulary(" ");
  const auto beginning = [&](std::vector<ab::TokenId> tokens) {
    std::string text;
    vocabulary.decode_beginning(tokens, text);
    return text;
  };
  REQUIRE(word.size() == 1);
  REQUIRE(blank.size() == 1);
  CHECK(beginning({}).empty());
  CHECK(beginning(word) == "hello");
  CHECK(beginning({word[0], word[0]}) == "hello hello");
  CHECK(beginning(blank).empty());
  CHECK(beginning({blank[0], word[0]}) == " hello");
  CHECK(beginning({1, word[0]}) == "hello");  // a control token has no text
  CHECK(beginning(vocabulary("\n")) == "\n");
  CHECK_THROWS_AS(beginning({100'000}), ab::Error);
}
