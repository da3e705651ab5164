/* phases [name...]: runs the named phases, or all; --list tells their names, --except NAME leaves one out. */
#include "phases.h"

#include <stdio.h>
#include <string.h>

static const phase* const kAll[] = {kHandlePhases, kStructPhases,   kSequencePhases,       kStepPhases,
                                    kPlanPhases,   kDecoderPhases,  kRefusedRequestPhases, kSamplingPhases,
                                    kMarkupPhases, kCallbackPhases, kMemoryPhases,         kStatusPhases,
                                    kSchedulerPhases};
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
  const int before = n_failed_checks();
  p->run();
  printf("%-32s %s\n", p->name, n_failed_checks() == before ? "ok" : "failed");
  fflush(stdout);
  return n_failed_checks() == before;
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
