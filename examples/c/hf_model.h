/* A Hugging Face model folder behind a few C functions: questions to tokens, tokens to text, plans to logits.
 *
 * The hosts in examples/c and examples/rust run SmolLM2 through it. It stands for the runtime that a host already has
 * and knows nothing of branches: a plan says which rows see which slots, and that is all there is to obey. */
#ifndef ANABRANCH_EXAMPLES_HF_MODEL_H
#define ANABRANCH_EXAMPLES_HF_MODEL_H

#include <anabranch.h>

#if defined(_WIN32)
#define HF_API
#else
#define HF_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hf_model hf_model;

/* Reads a Hugging Face folder or a GGUF file (docs/models.md), in float32. NULL: hf_error() says why. */
HF_API hf_model* hf_open(const char* folder);
HF_API void hf_close(hf_model* model);
/* The text of this thread's last failed call. */
HF_API const char* hf_error(void);

HF_API int32_t hf_n_vocabulary(const hf_model* model);
HF_API anb_position hf_max_position(const hf_model* model);
/* The tokens that end an answer; `tokens` lives as long as the model. Returns how many. */
HF_API int32_t hf_end_of_text(const hf_model* model, const anb_token** tokens);
/* Tokens of the model's chat template around a question. Returns how many there are, of which at most `capacity` are
 * written; negative: failure. */
HF_API int32_t hf_prompt(const hf_model* model, const char* question, anb_token* out, int32_t capacity);

/* The two callbacks of an anb_text whose user is the model. */
HF_API int32_t hf_detokenize(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* model);
HF_API int32_t hf_text_to_tokens(const char* text, int32_t n, anb_token* out, int32_t capacity, void* model);

/* Runs one pass: writes K and V of every row to its slot, gives the logits [n_outputs, n_vocabulary], valid until the
 * next pass. NULL: failure. */
HF_API const float* hf_forward(const anb_plan* plan, void* model);

#ifdef __cplusplus
}
#endif

#endif
