/* Checks that tell file, line and values, and count what failed; a small attention with K, V and a plan to work on. */
#ifndef ANABRANCH_TESTS_ATTENTION_CAPI_CHECKS_H
#define ANABRANCH_TESTS_ATTENTION_CAPI_CHECKS_H

#include "anabranch_attention.h"

int n_failed_checks(void);
void check_true(const char* file, int line, const char* what, int condition);
void check_near(const char* file, int line, const char* what, double value, double expected, double bound);
/* The status, and a part of the error text; "" for ANB_OK. */
void check_status(const char* file, int line, const char* what, anb_status status, anb_status expected,
                  const char* text);
#define CHECK(condition) check_true(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)
#define CHECK_NEAR(value, expected, bound) check_near(__FILE__, __LINE__, #value, value, expected, bound)
#define OK(call) check_status(__FILE__, __LINE__, #call, call, ANB_OK, "")
#define REFUSED(call, status, text) check_status(__FILE__, __LINE__, #call, call, status, text)

/* Two branches of one row each: both rows see a trunk of slots 0 and 1, then row 0 its own slot 2, row 1 its slot 3.
 * One head of 2. By hand, with keys (0, 0), (ln 3, 0), (ln 4, 0), (ln 2, 0), values (4, 0), (8, 4), (1, 1), (0, 2) and
 * a scale of 1: query (1, 0) of row 0 has the weights 1, 3, 4 of 8: (4, 2). Query (0, 0) of row 1 has 1, 1, 1 of 3: (4,
 * 2). */
typedef struct small {
  anb_attention* attention;
  anb_slot_run trunk_run, own_runs[2];
  anb_view views[3];
  anb_group groups[3];
  float queries[4], out[4], lse[2];
  float keys[8], values[8]; /* as kv hold them, or anything smaller */
  float key_scales[4], value_scales[4];
  anb_attention_kv kv;
  anb_attention_rows rows;
  char workspace[65536];
} small;

/* With all four slots stored as `element` and nothing planned; destroy_small ends it. */
void make_small(small* s, int32_t element);
void destroy_small(small* s);
anb_status plan_small(small* s);
anb_status run_small(small* s, const anb_attention_threads* threads);

void test_results(void);
void test_plan_of_the_cache(void);
void test_refusals(void);

#endif
