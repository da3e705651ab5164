/* A decoding loop of one's own in C99, over libanabranch:  anabranch_c_host MODEL_FOLDER "question"
 * The library plans each pass, the model is one callback, this file samples, greedily. The answer goes to standard
 * output; what each pass decodes, a column per branch, and what it all cost go to standard error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anabranch_decoder.h>

#include "hf_model.h"

/* Runs one pass: logits [n_outputs, vocabulary], valid until the next pass; NULL: it failed. */
typedef const float* (*forward)(const anb_plan* plan, void* model);

enum { N_COLUMNS = 8, WIDTH = 11 };

static void stop(const char* what, const char* why) {
  fprintf(stderr, "c_host: %s: %s\n", what, why);
  exit(1);
}

static void need(anb_status status, const char* call) {
  if (status != ANB_OK) stop(call, status == ANB_NO_ROOM ? "too few free pages" : anb_last_error());
}

static int among(const anb_token* tokens, int32_t n, anb_token token) {
  for (int32_t i = 0; i < n; ++i)
    if (tokens[i] == token) return 1;
  return 0;
}

/* The likeliest of the tokens that the markup lets stand there. */
static anb_token sample(const float* logits, int32_t n_vocabulary, const anb_output_settings* s) {
  anb_token best = ANB_NONE;
  for (anb_token t = 0; t < n_vocabulary; ++t)
    if ((best == ANB_NONE || logits[t] > logits[best]) && !among(s->forbidden, s->n_forbidden, t) &&
        (s->n_allowed == 0 || among(s->allowed, s->n_allowed, t)))
      best = t;
  return best;
}

/* Takes the pass's events and prints them: what the trunk wrote as it is, what branches wrote as one line of columns.
 */
static void show(anb_decoder* decoder) {
  char cells[1 + N_COLUMNS][64] = {{0}}; /* cells[0]: the trunk */
  int32_t n_cells = 1;
  anb_event event = ANB_EVENT_INIT;
  while (anb_decoder_next_event(decoder, &event) == ANB_OK) {
    if (event.kind != ANB_EVENT_TOKEN || event.role != ANB_ROLE_TEXT) continue;
    const int32_t column = event.branch == 0 ? 0 : 1 + (event.branch - 1) % N_COLUMNS;
    strncat(cells[column], event.text, sizeof cells[column] - 1 - strlen(cells[column]));
    if (column >= n_cells) n_cells = column + 1;
  }
  fputs(cells[0], stderr);
  for (int32_t i = 1; i < n_cells; ++i)
    fprintf(stderr, "%-*.*s %s", WIDTH, (int)strcspn(cells[i], "\n"), cells[i], i + 1 < n_cells ? "" : "\n");
}

/* The loop: plan, run, sample, commit, until nothing is left to do. */
static void decode(anb_decoder* decoder, int32_t n_vocabulary, forward run, void* model) {
  anb_plan plan = ANB_PLAN_INIT;
  anb_status status;
  while ((status = anb_decoder_plan(decoder, &plan)) == ANB_OK) {
    const float* logits = run(&plan, model);
    anb_token* tokens = malloc(((size_t)plan.n_outputs + 1) * sizeof *tokens);
    if (logits == NULL || tokens == NULL) {
      anb_decoder_abort(decoder); /* the next plan would be this pass again */
      stop("pass", hf_error());
    }
    for (int32_t i = 0; i < plan.n_outputs; ++i) {
      anb_output_settings settings = ANB_OUTPUT_SETTINGS_INIT;
      need(anb_decoder_get_output(decoder, i, &settings), "output");
      tokens[i] = sample(logits + (size_t)i * (size_t)n_vocabulary, n_vocabulary, &settings);
    }
    need(anb_decoder_commit_sampled(decoder, tokens, plan.n_outputs), "commit");
    free(tokens);
    show(decoder);
  }
  if (status != ANB_NOTHING_TO_DO) need(status, "plan");
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "error: %d arguments; usage: anabranch_c_host MODEL_FOLDER \"question\"\n", argc - 1);
    return 2;
  }
  hf_model* model = hf_open(argv[1]);
  if (model == NULL) stop(argv[1], hf_error());
  anb_token prompt[2048];
  const int32_t n_prompt = hf_prompt(model, argv[2], prompt, 2048);
  if (n_prompt < 0 || n_prompt > 2048) stop("question", n_prompt < 0 ? hf_error() : "too long");
  anb_cache_options cache_options = ANB_CACHE_OPTIONS_INIT;
  anb_decoder_options options = ANB_DECODER_OPTIONS_INIT;
  anb_markup markup = ANB_MARKUP_INIT;
  anb_text text = {sizeof text, 0, hf_detokenize, hf_text_to_tokens, model, NULL};
  anb_cache* cache;
  anb_decoder* decoder;
  anb_request request;
  anb_branch_state answer = ANB_BRANCH_STATE_INIT;
  anb_request_state cost = ANB_REQUEST_STATE_INIT;
  cache_options.n_pages = 256;
  cache_options.max_position = hf_max_position(model);
  markup.name = "skeleton"; /* an outline, then all its points at once: any instruct model can do it */
  markup.n_vocabulary = hf_n_vocabulary(model);
  options.max_branch_tokens = 128;
  options.n_end_of_text = hf_end_of_text(model, &options.end_of_text);
  options.markup = &markup;
  options.text = &text;
  need(anb_cache_create(&cache_options, &cache), "cache");
  need(anb_decoder_create(cache, &options, &decoder), "decoder");
  need(anb_decoder_submit(decoder, prompt, n_prompt, NULL, &request), "submit");
  decode(decoder, markup.n_vocabulary, hf_forward, model);
  need(anb_decoder_get_branch(decoder, request, 0, &answer), "answer"); /* 0: the trunk, its text is the whole answer */
  need(anb_decoder_get_request(decoder, request, &cost), "cost");
  if (printf("%s\n", answer.text) < 0 || fflush(stdout) != 0) stop("standard output", strerror(errno));
  fprintf(stderr, "\n%d branches, %d tokens sampled in %d passes; one token a pass: %d passes\n", cost.n_branches,
          cost.n_sampled, cost.n_passes, cost.n_serial_passes);
  anb_decoder_destroy(decoder);
  anb_cache_destroy(cache);
  hf_close(model);
  return 0;
}
