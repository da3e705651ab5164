/* phases [name...]: runs the named phases, or all; --list tells their names, --except NAME leaves one out. */
#include "phases.h"

#include <stdio.h>
#include <string.h>

static int g_n_failed = 0;

place here(const char* file, int line, const char* what) {
  place at;
  at.file = file;
  at.line = line;
  at.what = what;
  return at;
}

static int failed(place at) {
  ++g_n_failed;
  printf("%s:%d: %s: ", at.file, at.line, at.what);
  return 0;
}

int check_true(place at, int condition) {
  if (condition) return 1;
  failed(at);
  printf("does not hold\n");
  return 0;
}

int check_same(place at, int64_t value, int64_t expected) {
  if (value == expected) return 1;
  failed(at);
  printf("is %lld, not %lld\n", (long long)value, (long long)expected);
  return 0;
}

int check_text(place at, const char* text, const char* expected) {
  if (text != NULL && strcmp(text, expected) == 0) return 1;
  failed(at);
  printf("is '%s', not '%s'\n", text != NULL ? text : "(NULL)", expected);
  return 0;
}

int check_status(place at, anb_status status, anb_status expected) {
  if (status == expected) return 1;
  failed(at);
  printf("gave %s, not %s; the last error: %s\n", anb_status_name(status), anb_status_name(expected), anb_last_error());
  return 0;
}

int check_ok(place at, anb_status status) { return check_status(at, status, ANB_OK); }

static uint64_t epoch_of(const world* w) {
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  if (w != NULL) anb_cache_get_statistics(w->cache, &s);
  return s.epoch;
}

refusal expect_refusal(const world* w) {
  refusal r;
  r.w = w;
  r.before = state_of(w);
  r.epoch = epoch_of(w);
  return r;
}

int check_refused(place at, refusal r, anb_status status, anb_status expected, const char* text) {
  int good = check_status(at, status, expected);
  if (good && text != NULL && strstr(anb_last_error(), text) == NULL) {
    good = failed(at);
    printf("says '%s', where '%s' is expected\n", anb_last_error(), text);
  }
  if (state_of(r.w) != r.before || epoch_of(r.w) != r.epoch) {
    good = failed(at);
    printf("gave %s and has changed the state\n", anb_status_name(status));
  }
  return good;
}

static const phase* const kAll[] = {kHandlePhases, kStructPhases,   kLinePhases,           kStepPhases,
                                    kPlanPhases,   kDecoderPhases,  kRefusedRequestPhases, kSamplingPhases,
                                    kMarkupPhases, kCallbackPhases, kMemoryPhases,         kStatusPhases};
enum { kNLists = sizeof kAll / sizeof kAll[0] };

static int named(const char* name, int argc, char** argv) {
  int i, n_wanted = 0, wanted = 0;
  for (i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--except") == 0) {
      if (i + 1 < argc && strcmp(argv[++i], name) == 0) return 0;
      continue;
    }
    ++n_wanted;
    wanted = wanted || strcmp(argv[i], name) == 0;
  }
  return n_wanted == 0 || wanted;
}

static int run(const phase* p) {
  const int before = g_n_failed;
  p->run();
  printf("%-32s %s\n", p->name, g_n_failed == before ? "ok" : "failed");
  fflush(stdout);
  return g_n_failed == before;
}

int main(int argc, char** argv) {
  const int list = argc == 2 && strcmp(argv[1], "--list") == 0;
  int n_run = 0, n_good = 0, i;
  for (i = 0; i < kNLists; ++i) {
    const phase* p;
    for (p = kAll[i]; p->name != NULL; ++p) {
      if (list) printf("%s\n", p->name);
      if (list || !named(p->name, argc, argv)) continue;
      ++n_run;
      n_good += run(p);
    }
  }
  if (list) return 0;
  printf("%d of %d phases ok\n", n_good, n_run);
  return n_run > 0 && n_good == n_run ? 0 : 1;
}
