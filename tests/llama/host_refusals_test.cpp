// Contexts, tokens and calls that the host refuses.
#include "host_world.hpp"

TEST_CASE("contexts, tokens and calls that cannot be are refused with the value and the limit") {
  GgufModel* model = shallow_model();
  if (model == nullptr) return;
  ab::KvCache cache(ab::llama::cache_options(model->context()));
  CHECK(cache.n_slots() == 768);
  CHECK(cache.options().max_sequences == 128);
  CHECK(error_of([&] { Host(nullptr, cache); }).status() == Status::bad_argument);
  CHECK(says(error_of([&] { Host(model->context(), cache, {.first_seq_id = 250, .n_seq_ids = 7}); }),
             "7 seq_ids from 250"));
  llama_context_params split = llama_context_default_params();
  split.n_ctx = 512;
  split.n_seq_max = 2;
  llama_context* not_unified = llama_init_from_model(const_cast<llama_model*>(model->model()), split);
  CHECK(says(error_of([&] { Host(not_unified, cache); }), "kv_unified"));
  llama_free(not_unified);

  Host host(model->context(), cache);
  const SequenceId sequence = cache.create_sequence();
  const auto run = [&](const Tokens& tokens, std::int32_t n_unknown) {
    ab::Step step = cache.begin_step();
    step.append(sequence, tokens, ab::Logits::last);
    if (n_unknown > 0) step.append_unknown(sequence, n_unknown);
    const ab::PlanResult plan = step.plan();
    host(*plan);
    return host(*plan);  // the pass before is still open
  };
  CHECK(says(error_of([&] { run({1, 49152}, 0); }), "token 49152 of row 1 is outside the vocabulary [0, 49152)"));
  CHECK(says(error_of([&] { run({1}, 1); }), "needs every token"));
  CHECK(error_of([&] { run({1, 2}, 0); }).status() == Status::wrong_state);
  host.aborted();
  CHECK(host.n_used_seq_ids() == 0);
  {
    ab::Step step = cache.begin_step();
    step.append(sequence, {1, 2, 3}, ab::Logits::last);
    const ab::PlanResult plan = step.plan();
    CHECK(host(*plan).n_outputs == 1);
    step.commit();
    host.committed();
  }
  CHECK(host.seq_id_of(sequence) == 0);
  CHECK(says(error_of([&] { Host(model->context(), cache); }),
             "seq_id 0 of the context is not empty: it holds position 2"));
}
