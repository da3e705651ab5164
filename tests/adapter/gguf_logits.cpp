// What llama.cpp itself makes of a GGUF file: anabranch_gguf_logits MODEL.gguf FILE TOKEN...
//
// Writes float32 [n_tokens, vocabulary]. No code of ours is in the way.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <llama.h>

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "see the first lines of gguf_logits.cpp\n"), 2;
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  std::vector<llama_token> tokens;
  for (int i = 3; i < argc; ++i) tokens.push_back(std::stoi(argv[i]));
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) return 1;
  const auto n_vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::ofstream file(argv[2], std::ios::binary);
  for (llama_token& token : tokens) {
    if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) return 1;
    file.write(reinterpret_cast<const char*>(llama_get_logits_ith(context, -1)),
               static_cast<std::streamsize>(sizeof(float)) * n_vocabulary);
  }
  llama_free(context);
  llama_model_free(model);
  return 0;
}
