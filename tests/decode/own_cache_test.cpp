// Decoders over caches with types of the caller's own.
#include "scripted.hpp"

using namespace scripted;

namespace {

struct Owner {
  ab::BranchIndex branch = -1;
};
using OwnCache = ab::BasicKvCache<Owner, ab::Positions, ab::FixedPageSize<16>>;
using OwnRun = Run<ab::markup::Aspd, Letters, OwnCache>;

template <class AnyRun>
AnyRun& answer(AnyRun& run) {
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  run.submit(tokens("p"));
  return run.run();
}

/// Starts where the parent is; a policy of a program's own.
struct OwnPositions {
  bool valid() const noexcept { return true; }
  bool is_given() const noexcept { return false; }
  ab::WidePosition start(ab::Position next, std::int32_t) const noexcept { return next; }
  ab::WidePosition end(ab::Position, std::int32_t) const noexcept { return ab::kUnlimited; }
  ab::WidePosition after_fork(ab::Position next, std::int32_t) const noexcept { return next; }
  ab::NextRule after_join(ab::Position next, ab::Position) const noexcept { return {next, 0}; }
};

static_assert(ab::DecoderCache<ab::KvCache> && ab::DecoderCache<OwnCache>);
static_assert(!ab::DecoderCache<ab::BasicKvCache<ab::NoPayload, OwnPositions>>,
              "a decoder's positions are an option of the decoder, so they are the library's own");

}  // namespace

TEST_CASE("A decoder's passes do not depend on the cache's payload and page size") {
  AspdRun plain(aspd(), {}, {.n_pages = 8, .page_size = 16});
  OwnRun own(aspd(), {}, {.n_pages = 8, .page_size = 16});
  answer(plain);
  answer(own);
  REQUIRE(plain.passes.size() == own.passes.size());
  for (std::size_t i = 0; i < plain.passes.size(); ++i) CHECK(plain.passes[i].rows == own.passes[i].rows);
  CHECK(plain.decoder.text(ab::RequestId{1}) == own.decoder.text(ab::RequestId{1}));
}

TEST_CASE("The payload of a branch is found by the sequence that an output names") {
  OwnRun run(aspd(), {}, {.n_pages = 8, .page_size = 16});
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const ab::RequestId id = run.submit(tokens("p"));
  while (run.decoder.has_work() && run.decoder.n_branches(id) == 0) REQUIRE(run.step());
  const auto plan = run.decoder.plan();
  REQUIRE(plan);
  REQUIRE(plan->outputs.size() == 2);
  for (std::size_t i = 0; i < plan->outputs.size(); ++i)
    run.cache.payload(plan->outputs[i].sequence).branch = plan.output_settings()[i].branch;
  const std::vector<float> values = run.logits(plan);
  run.decoder.commit({values.data(), 2, kVocabulary});
  for (const ab::BranchIndex branch : {1, 2})
    CHECK(run.cache.payload(run.decoder.branch(id, branch).sequence).branch == branch);
  run.run();
}
