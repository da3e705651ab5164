#include "decoders.h"

#include <stdio.h>
#include <string.h>

const anb_token kColon[1] = {':'};
static char g_events[8192];

static int32_t burns(void* user) {
  fuse* f = (fuse*)user;
  return f != NULL && f->left > 0 && --f->left == 0;
}

int32_t bytes_to_text(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* user) {
  int32_t i, n_out = 0;
  if (burns(user)) return -7;
  for (i = 0; i < n; ++i) {
    const char* text = tokens[i] == kBold ? "**" : "\n\n";
    if (tokens[i] < 256) {
      if (n_out < capacity) out[n_out] = (char)tokens[i];
      ++n_out;
    } else {
      if (n_out + 2 <= capacity) memcpy(out + n_out, text, 2);
      n_out += 2;
    }
  }
  return n_out;
}

int32_t text_to_bytes(const char* text, int32_t n, anb_token* out, int32_t capacity, void* user) {
  int32_t i, n_out = 0;
  if (burns(user)) return -8;
  for (i = 0; i < n; ++i, ++n_out) {
    anb_token token = (unsigned char)text[i];
    if (i + 1 < n && text[i] == '*' && text[i + 1] == '*')
      token = kBold, ++i;
    else if (i + 1 < n && text[i] == '\n' && text[i + 1] == '\n')
      token = kBlankLine, ++i;
    if (n_out < capacity) out[n_out] = token;
  }
  return n_out;
}

anb_text byte_text(void) {
  anb_text text = ANB_TEXT_INIT;
  text.detokenize = bytes_to_text;
  text.text_to_tokens = text_to_bytes;
  return text;
}

anb_markup aspd_markup(void) {
  anb_markup m = ANB_MARKUP_INIT;
  m.name = "aspd";
  m.branch = '[';
  m.branch_end = ']';
  m.title = '(';
  m.title_end = ')';
  m.para = '{';
  m.para_end = '}';
  m.title_separator = kColon;
  m.n_title_separator = 1;
  return m;
}

anb_decoder_options decoder_options(const anb_markup* markup, const anb_text* text) {
  static const anb_token kEnds[] = {kEnd};
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  o.end_of_text = kEnds;
  o.n_end_of_text = 1;
  o.markup = markup;
  o.text = text;
  return o;
}

world decoder_world(const anb_decoder_options* o) {
  world w = empty_world(64);
  OK(anb_decoder_create(w.cache, o, &w.decoder));
  forget_events();
  return w;
}

anb_request submit(world* w, const char* prompt, const anb_request_options* o) {
  anb_token tokens[256];
  anb_request request = ANB_NO_REQUEST;
  const int32_t n = text_to_bytes(prompt, (int32_t)strlen(prompt), tokens, 256, NULL);
  OK(anb_decoder_submit(w->decoder, tokens, n, o, &request));
  if (w->n_requests < kMaxRequests) w->requests[w->n_requests++] = request;
  return request;
}

static void path_of(const world* w, anb_request request, int32_t branch, char* path) {
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  int32_t i;
  OK(anb_decoder_get_branch(w->decoder, request, branch, &s));
  *path = '\0';
  for (i = 0; i < s.n_path; ++i)
    path += sprintf(path, "%s%d.%d", i > 0 ? "/" : "", (int)s.path[i].block, (int)s.path[i].branch);
}

anb_token scripted(const world* w, const script* scripts, int32_t i) {
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  char path[128];
  if (!OK(anb_decoder_get_output(w->decoder, i, &s))) return kEnd;
  path_of(w, s.request, s.branch, path);
  for (; scripts->path != NULL; ++scripts)
    if (strcmp(scripts->path, path) == 0 && s.index < (int64_t)strlen(scripts->text)) {
      const char* at = scripts->text + s.index;
      return *at == '|' ? kBold : *at == '~' ? kBlankLine : (unsigned char)*at;
    }
  return kEnd;
}

static void note(const anb_event* e) {
  char* at = g_events + strlen(g_events);
  const int32_t last = e->first_branch + e->n_branches - 1;
  if (strlen(g_events) + 64 > sizeof g_events) return;
  switch (e->kind) {
    case ANB_EVENT_TOKEN:
      sprintf(at, "%d%c%s", (int)e->branch,
              (char)(e->token == kBold        ? '|'
                     : e->token == kBlankLine ? '~'
                                              : e->token),
              e->forced ? "!" : "");
      break;
    case ANB_EVENT_FORK:
      sprintf(at, " %dF%d-%d/%d ", (int)e->branch, (int)e->first_branch, (int)last, (int)e->reason);
      break;
    case ANB_EVENT_BRANCH_END: sprintf(at, " %dE%d ", (int)e->branch, (int)e->reason); break;
    case ANB_EVENT_JOIN: sprintf(at, " %dJ%d-%d ", (int)e->branch, (int)e->first_branch, (int)last); break;
    default: sprintf(at, " %dX%d ", (int)e->branch, (int)e->reason);
  }
}

static void take_events(world* w) {
  anb_event e = ANB_EVENT_INIT;
  anb_status status;
  while ((status = anb_decoder_next_event(w->decoder, &e)) == ANB_OK) note(&e);
  STATUS(status, ANB_NOTHING_TO_DO);
}

static void commit_logits(world* w, const script* scripts, int32_t n) {
  static float logits[64 * kVocabulary];
  int32_t i;
  memset(logits, 0, sizeof logits);
  if (!CHECK(n <= 64)) return;
  for (i = 0; i < n; ++i) logits[i * kVocabulary + scripted(w, scripts, i)] = 9.0f;
  OK(anb_decoder_commit(w->decoder, n > 0 ? logits : NULL, n, kVocabulary));
}

static void commit_sampled(world* w, const script* scripts, int32_t n) {
  anb_token tokens[64];
  int32_t i;
  if (!CHECK(n <= 64)) return;
  for (i = 0; i < n; ++i) tokens[i] = scripted(w, scripts, i);
  OK(anb_decoder_commit_sampled(w->decoder, tokens, n));
}

anb_status pass(world* w, const script* scripts, feed by) {
  anb_plan plan = ANB_PLAN_INIT;
  const anb_status status = anb_decoder_plan(w->decoder, &plan);
  if (status == ANB_OK) (by == kByLogits ? commit_logits : commit_sampled)(w, scripts, plan.n_outputs);
  take_events(w);
  if (status == ANB_OK) OK(anb_cache_check(w->cache));
  return status;
}

int32_t run_passes(world* w, const script* scripts, feed by) {
  int32_t n = 0;
  anb_status status;
  while ((status = pass(w, scripts, by)) == ANB_OK && n < 1000) ++n;
  STATUS(status, ANB_NOTHING_TO_DO);
  return n;
}

const char* events_text(void) { return g_events; }
void forget_events(void) { g_events[0] = '\0'; }

const char* text_of(const world* w, anb_request request, int32_t branch) {
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  OK(anb_decoder_get_branch(w->decoder, request, branch, &s));
  CHECK(s.text != NULL && strlen(s.text) == s.n_text && s.title != NULL && strlen(s.title) == s.n_title);
  return s.text != NULL ? s.text : "";
}

anb_request_state request_state(const world* w, anb_request request) {
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  OK(anb_decoder_get_request(w->decoder, request, &s));
  return s;
}
