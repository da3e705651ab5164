// What the cache has not: sequences, pages, or a sequence that others dropped.
#include "scripted.hpp"

using namespace scripted;

namespace {

ab::Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const ab::Error& error) {
    return error;
  }
  return {ab::Status::ok, ""};
}
bool says(const ab::Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

/// ASPD that opens with a block of three.
struct Opening : ab::markup::Aspd {
  Opening() : Aspd(aspd()) {}
  ab::markup::Action open(State& s) const {
    for (const TokenId token : tokens("(a)(b)(c)")) Aspd::next(s, token);
    return Aspd::next(s, kPara);
  }
};

void commit_drop(ab::KvCache& cache, ab::SequenceId sequence) {
  ab::Step step = cache.begin_step();
  step.drop(sequence);
  REQUIRE(step.plan());
  step.commit();
}
void append(ab::KvCache& cache, ab::SequenceId sequence, const Tokens& list) {
  ab::Step step = cache.begin_step();
  step.append(sequence, list);
  REQUIRE(step.plan());
  step.commit();
}

}  // namespace

TEST_CASE("A markup that forks before anything is sampled leaves room for the request's own sequence") {
  for (const std::int32_t n : {3, 4}) {
    INFO("sequences " << n);
    Run<Opening> run{Opening(), {}, {.max_sequences = n}};
    run.script({}, "z.");
    for (int k = 0; k < 3; ++k) run.script({{0, k}}, "x]");
    const auto id = run.submit(tokens("p"));
    const auto at_submit = run.decoder.take_events();
    run.run();
    CHECK(run.history(id) == (n == 3 ? "p}z" : "p[a:x][b:x][c:x]}z"));
    REQUIRE(!at_submit.empty());
    bool is_refused = false;
    for (const ab::Event& event : at_submit)
      is_refused = is_refused || (event.kind == ab::Event::Kind::fork && event.reason == ab::EndReason::limit);
    CHECK(is_refused == (n == 3));
  }
}

TEST_CASE("A request that the cache has no sequence for is refused; those before it run, and room comes back") {
  AspdRun run(aspd(), {}, {.max_sequences = 2});
  run.script({}, "ab.");
  const auto first = run.submit(tokens("p"));
  run.script({}, "cd.");
  const auto second = run.submit(tokens("q"));
  const ab::Error refused = error_of([&] { run.decoder.submit(tokens("r")); });
  CHECK(refused.status() == ab::Status::limit_reached);
  CHECK(says(refused, "2"));
  REQUIRE(run.decoder.plan());
  CHECK(error_of([&] { run.decoder.submit(tokens("r")); }).status() == ab::Status::limit_reached);
  run.decoder.abort();
  run.run();
  CHECK(run.decoder.text(first) == "ab");
  CHECK(run.decoder.text(second) == "cd");
  CHECK(error_of([&] { run.decoder.submit(tokens("r")); }).status() == ab::Status::limit_reached);
  run.decoder.release(first);
  run.script({}, "e.");
  const auto third = run.submit(tokens("r"));
  run.run();
  CHECK(run.decoder.text(third) == "e");
  run.script({}, "f.");
  const auto fourth = run.submit(tokens("s"), {.after = third});  // takes over the sequence
  run.run();
  CHECK(run.decoder.text(fourth) == "f");
}

TEST_CASE("A request that is cancelled in its first pass gives its sequence back") {
  for (const bool committed : {true, false}) {
    AspdRun run(aspd(), {}, {.max_sequences = 2});
    const auto first = run.submit(tokens("p"));
    run.submit(tokens("q"));
    const auto plan = run.decoder.plan();
    REQUIRE(plan);
    run.decoder.cancel(first);
    const std::vector<float> values = run.logits(plan);
    if (committed)
      run.decoder.commit({values.data(), 2, kVocabulary});
    else
      run.decoder.abort();
    run.submit(tokens("r"));
    CHECK(error_of([&] { run.decoder.submit(tokens("s")); }).status() == ab::Status::limit_reached);
    run.run();
  }
}

TEST_CASE("Sequences that others took make plan throw with the request's name, until there is room again") {
  AspdRun run(aspd(), {}, {.max_sequences = 2});
  run.script({}, "ab.");
  const auto id = run.submit(tokens("p"));
  run.submit(tokens("q"));
  const ab::SequenceId strange = run.cache.create_sequence();
  for (int i = 0; i < 2; ++i) {
    const ab::Error error = error_of([&] { (void)run.decoder.plan(); });
    CHECK(error.status() == ab::Status::limit_reached);
    CHECK(says(error, "request 2"));
  }
  commit_drop(run.cache, strange);
  run.run();
  CHECK(run.decoder.text(id) == "ab");
}

TEST_CASE("A request whose sequence others drop ends as lost; the others go on") {
  for (const ab::BranchIndex which : {0, 1, 2}) {
    INFO("branch " << which);
    AspdRun run(aspd());
    run.script({}, "x(a)(b){y.").script({{0, 0}}, "cccccc]").script({{0, 1}}, "dd]");
    const auto victim = run.submit(tokens("p"));
    run.script({}, "abcdefghijklmn.");
    const auto other = run.submit(tokens("q"));
    for (int i = 0; i < 10; ++i) REQUIRE(run.step());
    const std::string text = run.decoder.text(victim);
    commit_drop(run.cache, run.decoder.branch(victim, which).sequence);
    const auto n_events = run.events.size();
    run.run();
    CHECK(run.decoder.reason(victim) == ab::EndReason::lost);
    bool is_reported = false;
    for (std::size_t i = n_events; i < run.events.size(); ++i)
      is_reported =
          is_reported || (run.events[i].kind == ab::Event::Kind::end && run.events[i].reason == ab::EndReason::lost);
    CHECK(is_reported);
    CHECK(run.decoder.text(victim).substr(0, 2) == text.substr(0, 2));
    CHECK(run.decoder.text(other) == "abcdefghijklmn");
    CHECK(error_of([&] { run.decoder.submit(tokens("q"), {.after = victim}); }).status() == ab::Status::bad_request);
    run.decoder.release(victim);
    run.decoder.release(other);
    CHECK(run.cache.n_sequences() == 0);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("A finished request whose sequence others dropped cannot be continued") {
  AspdRun run(aspd());
  run.script({}, "ab.");
  const auto id = run.submit(tokens("p"));
  run.run();
  commit_drop(run.cache, run.decoder.branch(id, ab::kTrunk).sequence);
  CHECK(error_of([&] { run.decoder.submit(tokens("q"), {.after = id}); }).status() == ab::Status::bad_request);
  CHECK(run.decoder.text(id) == "ab");
}

TEST_CASE("A plan that fails has dropped what ended requests held, and changes nothing else") {
  AspdRun run(aspd(), {}, {.max_sequences = 3});
  run.script({}, "abcdef.");
  const auto ended = run.submit(tokens("p"));
  run.run();
  const auto first = run.submit(tokens("q"));
  const auto second = run.submit(tokens("q"));
  {
    ab::Step mine = run.cache.begin_step();  // while it is open nothing can be dropped
    run.decoder.release(ended);
    mine.create_sequence();
    mine.create_sequence();
    REQUIRE(mine.plan());
    mine.commit();
  }
  CHECK(run.cache.n_sequences() == 3);
  for (int i = 0; i < 2; ++i) {
    CHECK(error_of([&] { (void)run.decoder.plan(); }).status() == ab::Status::limit_reached);
    CHECK(run.cache.n_sequences() == 2);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
    for (const auto id : {first, second}) {
      CHECK(run.decoder.statistics(id).n_passes == 0);
      CHECK(run.decoder.reason(id) == ab::EndReason::none);
    }
    REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
  }
}

TEST_CASE("A shortage says which requests need how many pages, and how many they use") {
  AspdRun run(aspd(), {}, {.n_pages = 8, .page_size = 2});
  run.script({}, std::string(8, 'x'));
  const auto first = run.submit(tokens("abcde"));
  run.script({}, std::string(20, 'y'));
  const auto second = run.submit(tokens("ab"));
  while (run.step()) {
  }
  const auto plan = run.decoder.plan();
  REQUIRE_FALSE(plan);
  REQUIRE(plan.shortage().n_pages > 0);
  REQUIRE(plan.pages().size() == 2);
  CHECK(plan.pages()[0].request == first);
  CHECK(plan.pages()[1].request == second);
  std::int32_t n_needed = 0, n_used = 0;
  for (const ab::RequestPages& pages : plan.pages()) {
    n_needed += pages.n_needed;
    n_used += pages.n_used;
    CHECK(pages.n_used == (run.cache.n_tokens(run.decoder.branch(pages.request, ab::kTrunk).sequence) + 1) / 2);
  }
  CHECK(n_used == 8 - run.cache.n_free_pages());
  CHECK(n_needed - run.cache.n_free_pages() == plan.shortage().n_pages);
  run.decoder.cancel(second);
  run.run();
  CHECK(run.decoder.take_events().empty());
}

TEST_CASE("Requests start from a sequence of the cache: nothing of it is computed again, and it stays") {
  AspdRun run(aspd(), {}, {.n_pages = 32, .page_size = 4});
  const ab::SequenceId shared = run.cache.create_sequence();
  {
    ab::Step step = run.cache.begin_step();
    step.append(shared, tokens("system"));
    const auto plan = step.plan();
    REQUIRE(plan);
    for (std::size_t r = 0; r < plan->tokens.size(); ++r) run.held[plan->slots[r]] = plan->tokens[r];
    step.commit();
  }
  run.script({}, "(a){y.").script({{0, 0}}, "b]");
  const auto first = run.submit(tokens("pq"), {.prefix = shared});
  run.script({}, "z.");
  const auto second = run.submit(tokens("r"), {.prefix = shared});
  REQUIRE(run.step());
  CHECK(run.passes.back().rows.size() == 3);  // pq and r alone
  CHECK(run.decoder.statistics(first).n_prompt == 2);
  CHECK(run.cache.children(shared).empty());
  append(run.cache, shared, tokens("more"));  // the owner does with it as it likes
  commit_drop(run.cache, shared);
  run.run();
  CHECK(run.history(first) == "systempq(a){[a:b]}y");
  CHECK(run.history(second) == "systemrz");
  CHECK(run.decoder.text(first) == "a:by");
  run.decoder.release(first);
  run.decoder.release(second);
  CHECK(run.cache.n_sequences() == 0);
  CHECK(run.cache.n_free_pages() == run.cache.n_pages());
}

TEST_CASE("A prefix that changes before the first pass is lost; one that cannot be is refused") {
  for (const bool dropped : {true, false}) {
    AspdRun run(aspd());
    const ab::SequenceId shared = run.cache.create_sequence();
    append(run.cache, shared, tokens("abc"));
    run.script({}, "z.");
    const auto id = run.submit(tokens("p"), {.prefix = shared});
    CHECK(error_of([&] { run.decoder.submit({}, {.prefix = shared}); }).status() == ab::Status::bad_request);
    CHECK(error_of([&] { run.decoder.submit(tokens("p"), {.after = id, .prefix = shared}); }).status() ==
          ab::Status::bad_request);
    if (dropped)
      commit_drop(run.cache, shared);
    else
      append(run.cache, shared, tokens("d"));
    CHECK_FALSE(run.decoder.plan());
    CHECK(run.decoder.reason(id) == ab::EndReason::lost);
    CHECK_FALSE(run.decoder.has_work());
    CHECK(run.cache.n_sequences() == (dropped ? 0 : 1));
    if (dropped)
      CHECK(error_of([&] { run.decoder.submit(tokens("p"), {.prefix = shared}); }).status() ==
            ab::Status::stale_sequence);
  }
}

TEST_CASE("Bad logits are refused with the output, the request and the branch that they are of") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){y.").script({{0, 0}}, "cc]").script({{0, 1}}, "dd]");
  run.submit(tokens("p"));
  for (int i = 0; i < 8; ++i) REQUIRE(run.step());
  const auto plan = run.decoder.plan();
  REQUIRE(plan.output_settings().size() == 2);
  std::vector<float> values = run.logits(plan);
  values[kVocabulary + 3] = std::numeric_limits<float>::quiet_NaN();
  const ab::Error error = error_of([&] { run.decoder.commit({values.data(), 2, kVocabulary}); });
  CHECK(error.status() == ab::Status::bad_logits);
  CHECK(says(error, "output 1 (request 1, branch 2)"));
  const ab::Error sampled = error_of([&] { run.decoder.commit_sampled(Tokens{kFirstLetter, -3}); });
  CHECK(says(sampled, "output 1 (request 1, branch 2)"));
  CHECK(says(sampled, "-3"));
}

TEST_CASE("An empty prompt goes on with an answer that was cut, not with one that ended by itself") {
  AspdRun run(aspd());
  run.script({}, "ab.");
  const auto ended = run.submit(tokens("p"));
  run.script({}, "abc");
  const auto cut = run.submit(tokens("p"), {.max_tokens = 2});
  run.run();
  const ab::Error error = error_of([&] { run.decoder.submit({}, {.after = ended}); });
  CHECK(error.status() == ab::Status::bad_request);
  CHECK(says(error, "end-of-text"));
  run.script({}, "c.");
  const auto after = run.submit({}, {.after = cut});
  run.run();
  CHECK(run.history(after) == "pabc");
}

TEST_CASE("A prefix as deep as the cache allows is refused, for nothing can be forked from it") {
  AspdRun run(aspd(), {}, {.n_pages = 64, .max_depth = 1});
  const ab::SequenceId root = run.cache.create_sequence();
  append(run.cache, root, tokens("abc"));
  auto step = run.cache.begin_step();
  const ab::SequenceId branch = step.fork(root, 1)[0];
  REQUIRE(step.plan());
  step.commit();
  const ab::Error error = error_of([&] { run.decoder.submit(tokens("p"), {.prefix = branch}); });
  CHECK(error.status() == ab::Status::limit_reached);
  CHECK(std::string(error.what()).find("depth 1, from which nothing can be forked; the cache's limit is 1 levels") !=
        std::string::npos);
  CHECK(!run.decoder.has_work());
}
