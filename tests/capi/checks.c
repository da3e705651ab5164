/* Checks that say where and what, and count what failed. */
#include "phases.h"

#include <stdio.h>
#include <string.h>

static int g_n_failed = 0;

int n_failed_checks(void) { return g_n_failed; }

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
