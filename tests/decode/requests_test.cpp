// Requests over their whole life: continued, out of room, aborted, cancelled and released at every moment.
#include <limits>

#include "scripted.hpp"

using namespace scripted;

namespace {

ab::Status status_of(const std::function<void()>& call) {
  try {
    call();
    return ab::Status::ok;
  } catch (const ab::Error& error) {
    CHECK(std::string(error.what()).size() > 10);
    return error.status();
  }
}

void nested_script(AspdRun& run) {
  run.script({}, "x(a)(b)(c){yz.");
  run.script({{0, 0}}, "d(e)(f){g]").script({{0, 1}}, "hhhhhhhhhhh.").script({{0, 2}}, "]");
  run.script({{0, 0}, {0, 0}}, "iii]").script({{0, 0}, {0, 1}}, "j.");
}
const char* const kNestedHistory = "px(a)(b)(c){[a:d(e)(f){[e:iii][f:j]}g][b:hhhhhhhhhhh][c:]}yz";

}  // namespace

TEST_CASE("A finished request is continued on its own history, after a block too") {
  AspdRun run(aspd());
  run.script({}, "(a){y.").script({{0, 0}}, "b]");
  const auto first = run.submit(tokens("p"));
  run.run();
  run.script({}, "(c){w.").script({{0, 0}}, "d]");
  const auto second = run.submit(tokens("qr"), {.after = first});
  run.run();
  CHECK(run.history(second) == "p(a){[a:b]}yqr(c){[c:d]}w");
  CHECK(run.decoder.text(first) == "a:by");
  CHECK(run.decoder.text(second) == "c:dw");
  CHECK(run.decoder.statistics(second).n_passes == 1 + (4 + 2 - 1) + 2);
  CHECK(status_of([&] { run.decoder.submit(tokens("q"), {.after = first}); }) == ab::Status::bad_request);
  run.decoder.release(first);
  CHECK(run.history(second) == "p(a){[a:b]}yqr(c){[c:d]}w");
  run.decoder.release(second);
  CHECK(run.cache.n_free_pages() == run.cache.n_pages());
}

TEST_CASE("An answer cut by a limit goes on with an empty prompt") {
  AspdRun run(aspd());
  run.script({}, "abcdef.");
  const auto first = run.submit(tokens("p"), {.max_tokens = 3});
  run.run();
  run.script({}, "def.");
  const auto second = run.submit({}, {.after = first});
  run.run();
  CHECK(run.history(second) == "pabcdef");
  CHECK(run.decoder.text(first) + run.decoder.text(second) == "abcdef");
}

TEST_CASE("Requests that cannot be taken are refused, and change nothing") {
  AspdRun run(aspd(), {}, {.max_position = 10});
  const auto status = [&](const Tokens& prompt, const ab::RequestOptions& options) {
    return status_of([&] { run.decoder.submit(prompt, options); });
  };
  CHECK(status({}, {}) == ab::Status::bad_request);
  CHECK(status({-1}, {}) == ab::Status::bad_request);
  CHECK(status(Tokens(11, 12), {}) == ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.temperature = -1}}) == ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.temperature = std::numeric_limits<float>::quiet_NaN()}}) ==
        ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.top_k = -1}}) == ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.top_p = 0}}) == ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.top_p = 1.5f}}) == ab::Status::bad_request);
  CHECK(status({12}, {.sampling = {.repetition_penalty = 0}}) == ab::Status::bad_request);
  for (const float p : {-0.1f, 1.1f, std::numeric_limits<float>::quiet_NaN()})
    CHECK(status({12}, {.sampling = {.min_p = p}}) == ab::Status::bad_request);
  for (const float p : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    CHECK(status({12}, {.sampling = {.frequency_penalty = p}}) == ab::Status::bad_request);
    CHECK(status({12}, {.sampling = {.presence_penalty = p}}) == ab::Status::bad_request);
    CHECK(status({12}, {.logit_bias = {{1, p}}}) == ab::Status::bad_request);
  }
  CHECK(status({12}, {.logit_bias = {{-1, 1.0f}}}) == ab::Status::bad_request);
  CHECK(status({12}, {.logit_bias = {{1, 1.0f}, {2, 1.0f}, {1, 1.0f}}}) == ab::Status::bad_request);
  CHECK(status({12}, {.stop = {"a", ""}}) == ab::Status::bad_request);
  CHECK(status({12}, {.stop_tokens = {3, -1}}) == ab::Status::bad_request);
  CHECK(status({12}, {.max_tokens = 0}) == ab::Status::bad_request);
  CHECK(status({12}, {.max_branch_tokens = -5}) == ab::Status::bad_request);
  CHECK(status({12}, {.no_repeat_ngram = -2}) == ab::Status::bad_request);
  CHECK(status({12}, {.n_log_probabilities = -2}) == ab::Status::bad_request);
  CHECK(status({12}, {.after = ab::RequestId{7}}) == ab::Status::stale_request);
  CHECK_FALSE(run.decoder.has_work());
  CHECK(run.cache.n_sequences() == 0);
  const auto id = run.submit({12});
  CHECK(status({12}, {.after = id}) == ab::Status::bad_request);
  run.decoder.cancel(id);
  CHECK(status({12}, {.after = id}) == ab::Status::bad_request);
  run.decoder.release(id);
  CHECK(status_of([&] { run.decoder.cancel(id); }) == ab::Status::stale_request);
  CHECK(status_of([&] { (void)run.decoder.text(id); }) == ab::Status::stale_request);
}

TEST_CASE("Calls out of order are refused") {
  AspdRun run(aspd());
  CHECK(status_of([&] { run.decoder.commit({}); }) == ab::Status::wrong_state);
  CHECK(status_of([&] { run.decoder.commit_sampled({}); }) == ab::Status::wrong_state);
  CHECK_FALSE(run.decoder.plan());
  run.script({}, "a.");
  run.submit(tokens("p"));
  REQUIRE(run.decoder.plan());
  CHECK(status_of([&] { (void)run.decoder.plan(); }) == ab::Status::wrong_state);
  run.decoder.abort();
  run.decoder.abort();
  run.run();
}

TEST_CASE("Bad logits are refused, and the same pass can be committed again") {
  AspdRun run(aspd());
  run.script({}, "ab.");
  const auto id = run.submit(tokens("p"));
  const auto plan = run.decoder.plan();
  REQUIRE(plan);
  std::vector<float> good = run.logits(plan);
  const auto status = [&](const float* values, int n, int vocabulary) {
    return status_of([&] { run.decoder.commit({values, n, vocabulary}); });
  };
  CHECK(status(good.data(), 2, kVocabulary) == ab::Status::bad_logits);
  CHECK(status(good.data(), 0, kVocabulary) == ab::Status::bad_logits);
  CHECK(status(good.data(), 1, 0) == ab::Status::bad_logits);
  CHECK(status(nullptr, 1, kVocabulary) == ab::Status::bad_logits);
  std::vector<float> bad = good;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(status(bad.data(), 1, kVocabulary) == ab::Status::bad_logits);
  bad[3] = std::numeric_limits<float>::infinity();
  CHECK(status(bad.data(), 1, kVocabulary) == ab::Status::bad_logits);
  bad.assign(bad.size(), -std::numeric_limits<float>::infinity());
  CHECK(status(bad.data(), 1, kVocabulary) == ab::Status::bad_logits);
  bad = good;
  bad[3] = -std::numeric_limits<float>::infinity();  // masked by the host: fine
  run.note(plan);
  run.decoder.commit({bad.data(), 1, kVocabulary});
  run.run();
  CHECK(run.decoder.text(id) == "ab");
  CHECK(run.decoder.statistics(id).n_passes == 3);
}

TEST_CASE("Sampled tokens are checked against their outputs") {
  AspdRun run(aspd());
  run.submit(tokens("p"));
  REQUIRE(run.decoder.plan());
  const Tokens two = {1, 2}, negative = {-1}, end = {kEnd};
  CHECK(status_of([&] { run.decoder.commit_sampled({}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { run.decoder.commit_sampled(two); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { run.decoder.commit_sampled(negative); }) == ab::Status::bad_argument);
  CHECK(run.decoder.commit_sampled(end).back().kind == ab::Event::Kind::end);
}

TEST_CASE("A run in which every pass is aborted once and every commit fails once is the same run") {
  AspdRun run(aspd(), {.max_rows = 2});
  nested_script(run);
  const auto id = run.submit(tokens("p"));
  while (run.decoder.has_work()) {
    REQUIRE(run.decoder.plan());
    run.decoder.abort();
    REQUIRE(run.cache.snapshot().check().empty());
    REQUIRE(run.decoder.plan());
    CHECK_THROWS_AS(run.decoder.commit({}), ab::Error);
    run.decoder.abort();
    REQUIRE(run.step());
  }
  CHECK(run.history(id) == kNestedHistory);
}

TEST_CASE("A request is cancelled or released at every moment, and leaves nothing behind") {
  for (const bool release : {false, true})
    for (int when = 0; when < 120; ++when) {  // even: between passes; odd: between plan and commit or abort
      INFO("moment " << when << (release ? " release" : " cancel"));
      AspdRun run(aspd(), {.max_branches = 2, .max_rows = 3}, {.n_pages = 64, .page_size = 2});
      nested_script(run);
      const auto other = run.submit(tokens("p"));
      nested_script(run);
      const auto victim = run.submit(tokens("pq"));
      const auto kill = [&] { release ? run.decoder.release(victim) : run.decoder.cancel(victim); };
      for (int moment = 0; run.decoder.has_work(); moment += 2) {
        if (moment == when) kill();
        const auto plan = run.decoder.plan();
        if (!plan) break;
        const std::vector<float> values = run.logits(plan);
        run.note(plan);
        if (moment + 1 == when) kill();
        if (moment + 1 == when && when % 4 == 1) {
          run.decoder.abort();
        } else {
          const auto events =
              run.decoder.commit({values.data(), static_cast<std::int32_t>(values.size()) / kVocabulary, kVocabulary});
          run.events.insert(run.events.end(), events.begin(), events.end());
        }
        REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
      }
      CHECK(run.history(other) == kNestedHistory);
      for (const auto id : {other, victim})
        if (status_of([&] { run.decoder.release(id); }) != ab::Status::ok) CHECK((release && id == victim));
      CHECK(run.cache.n_free_pages() == run.cache.n_pages());
      CHECK(run.cache.n_sequences() == 0);
      REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
    }
}

TEST_CASE("Cancelling reports every open branch and the end, and keeps the text") {
  AspdRun run(aspd());
  run.script({}, "x(a)(b){").script({{0, 0}}, "ccccccc").script({{0, 1}}, "ddddddd");
  const auto id = run.submit(tokens("p"));
  for (int i = 0; i < 12; ++i) run.step();
  run.decoder.cancel(id);
  run.decoder.cancel(id);
  CHECK_FALSE(run.decoder.has_work());
  std::string reasons;
  for (const ab::Event& event : run.decoder.take_events()) reasons += std::string(ab::reason_name(event.reason)) + " ";
  CHECK(reasons == "cancelled cancelled cancelled ");
  CHECK(run.decoder.text(id) == "xa:ccccb:dddd");
  CHECK(run.decoder.reason(id) == ab::EndReason::cancelled);
  CHECK(run.cache.n_free_pages() == run.cache.n_pages());
}

TEST_CASE("A pass counts for a request that was cancelled in it when it is committed, not when it is aborted") {
  for (const bool committed : {true, false}) {
    AspdRun run(aspd());
    run.script({}, "abcdef.");
    const auto id = run.submit(tokens("p"));
    run.step();
    const auto plan = run.decoder.plan();
    REQUIRE(plan);
    const std::vector<float> values = run.logits(plan);
    run.decoder.cancel(id);
    if (committed)
      run.decoder.commit({values.data(), 1, kVocabulary});
    else
      run.decoder.abort();
    CHECK(run.decoder.statistics(id).n_passes == (committed ? 2 : 1));
    CHECK(run.cache.n_sequences() == 0);
  }
}

TEST_CASE("After a shortage nothing is lost: room is made and the run goes on") {
  AspdRun run(aspd(), {}, {.n_pages = 24, .page_size = 4});
  nested_script(run);
  const auto first = run.submit(tokens("p"));
  run.script({}, std::string(90, 'x'));
  const auto second = run.submit(tokens("pq"));
  int n_shortages = 0;
  while (run.decoder.has_work()) {
    if (run.step()) continue;
    ++n_shortages;
    const auto shortage = run.decoder.plan().shortage();
    CHECK(shortage.n_pages > 0);
    REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
    REQUIRE(n_shortages < 3);
    run.decoder.cancel(second);
  }
  CHECK(n_shortages == 1);
  CHECK(run.decoder.reason(second) == ab::EndReason::cancelled);
  CHECK(run.history(first) == kNestedHistory);
}

TEST_CASE("A prompt larger than the pool ends with no_room at once") {
  AspdRun run(aspd(), {}, {.n_pages = 4, .page_size = 4});
  const auto id = run.submit(Tokens(17, kFirstLetter));
  run.script({}, "ab.");
  const auto other = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::no_room);
  CHECK(run.decoder.text(other) == "ab");
  CHECK(run.decoder.statistics(id).n_passes == 0);
}

TEST_CASE("A request alone that outgrows the pool ends with no_room, its branches closed") {
  for (int n_pages = 2; n_pages < 40; ++n_pages) {
    INFO("pages " << n_pages);
    AspdRun run(aspd(), {}, {.n_pages = n_pages, .page_size = 2});
    nested_script(run);
    const auto id = run.submit(tokens("p"));
    int n_shortages = 0;
    while (run.decoder.has_work() && n_shortages < 3)
      if (!run.step()) ++n_shortages;
    const auto rest = run.decoder.take_events();
    CHECK_FALSE(run.decoder.has_work());
    const bool whole = run.decoder.reason(id) == ab::EndReason::end_of_text;
    CHECK((whole || run.decoder.reason(id) == ab::EndReason::no_room));
    if (n_pages >= 38) CHECK(whole);
    for (ab::BranchIndex b = 1; b <= run.decoder.n_branches(id); ++b)
      CHECK(run.branch_reason(id, b) != ab::EndReason::none);
    if (!whole) {
      REQUIRE(!rest.empty());
      CHECK(rest.back().reason == ab::EndReason::no_room);
    }
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
    REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
  }
}

TEST_CASE("A shortage that others cause is not the end of a request") {
  ab::KvCache* cache = nullptr;
  AspdRun run(aspd(), {}, {.n_pages = 4, .page_size = 4});
  cache = &run.cache;
  const ab::SequenceId strange = cache->create_sequence();
  {
    ab::Step step = cache->begin_step();
    step.append(strange, Tokens(12, 12));
    REQUIRE(step.plan());
    step.commit();
  }
  run.script({}, "abcdef.");
  const auto id = run.submit(tokens("p"));
  int n_shortages = 0;
  while (run.decoder.has_work()) {
    if (run.step()) continue;
    ++n_shortages;
    ab::Step step = cache->begin_step();
    step.drop(strange);
    REQUIRE(step.plan());
    step.commit();
  }
  CHECK(n_shortages == 1);
  CHECK(run.decoder.text(id) == "abcdef");
}

TEST_CASE("The caller's own open step makes plan throw, and a cancel wait") {
  AspdRun run(aspd());
  run.script({}, "abcdef.");
  const auto id = run.submit(tokens("p"));
  run.step();
  {
    ab::Step mine = run.cache.begin_step();
    CHECK(status_of([&] { (void)run.decoder.plan(); }) == ab::Status::wrong_state);
    run.decoder.cancel(id);
  }
  CHECK_FALSE(run.decoder.plan());  // sweeps
  CHECK(run.cache.n_sequences() == 0);
}

TEST_CASE("A decoder that goes away takes its sequences with it") {
  ab::KvCache cache({.n_pages = 8});
  {
    LettersDecoder decoder{cache, aspd(), Letters{}, {.max_branches = 8}};
    decoder.submit(tokens("pq"));
    const auto plan = decoder.plan();
    REQUIRE(plan);
    const Tokens letter = {kFirstLetter};
    decoder.commit_sampled(letter);
    REQUIRE(decoder.plan());
  }
  CHECK(cache.n_sequences() == 0);
  CHECK(cache.n_free_pages() == 8);
}

TEST_CASE(
    "A markup that throws at a token keeps the pass open until its request is cancelled; the others lose nothing") {
  struct Fragile : ab::markup::Serial {
    ab::markup::Action next(State&, TokenId token) const {
      if (token == kFirstLetter + 25) throw std::runtime_error("z");
      return ab::markup::Action::go_on();
    }
  };
  Run<Fragile> run{Fragile()};
  run.script({}, "abz");
  const auto bad = run.submit(tokens("p"));
  run.script({}, "abcde.");
  const auto good = run.submit(tokens("p"));
  run.step();
  run.step();
  const auto plan = run.decoder.plan();
  REQUIRE(plan);
  for (int i = 0; i < 3; ++i) {
    const std::vector<float> values = run.logits(plan);
    CHECK_THROWS_AS(run.decoder.commit({values.data(), 2, kVocabulary}), std::runtime_error);
    CHECK(run.decoder.text(good) == "ab");
    CHECK(run.decoder.statistics(good).n_passes == 2);
  }
  const std::vector<float> values = run.logits(plan);
  run.decoder.cancel(bad);
  const auto events = run.decoder.commit({values.data(), 2, kVocabulary});
  CHECK(events.front().reason == ab::EndReason::cancelled);
  run.run();
  CHECK(run.decoder.reason(bad) == ab::EndReason::cancelled);
  CHECK(run.decoder.text(bad) == "ab");
  CHECK(run.decoder.text(good) == "abcde");
  CHECK(run.decoder.statistics(good).n_passes == 6);
}

TEST_CASE("A markup that goes on after a join without a token ends as malformed") {
  struct Silent : ab::markup::Aspd {
    Silent() : Aspd(aspd()) {}
    ab::markup::Action joined(State&) const { return ab::markup::Action::go_on(); }
  };
  Run<Silent> run{Silent()};
  run.script({}, "(a){z.").script({{0, 0}}, "b]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::malformed);
}

TEST_CASE("Branches without a prefix sample from their parent's row") {
  struct Bare : ab::markup::Aspd {
    Bare() : Aspd(aspd()) {}
    ab::markup::Action next(State& s, TokenId token) const {
      ab::markup::Action action = Aspd::next(s, token);
      for (auto& seed : action.seeds) seed.prefix.clear();
      return action;
    }
  };
  Run<Bare> run{Bare()};
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b){cd]e]}z");
  CHECK(run.n_passes() == 1 + (7 + 2 - 1) + 3);
}

TEST_CASE("A markup may finish the answer from inside a branch") {
  struct Quitter : ab::markup::Aspd {
    Quitter() : Aspd(aspd()) {}
    ab::markup::Action next(State& s, TokenId token) const {
      return token == kFirstLetter + 16 ? ab::markup::Action::finish(ab::markup::Role::text) : Aspd::next(s, token);
    }
  };
  Run<Quitter> run{Quitter()};
  run.script({}, "(a)(b){z.").script({{0, 0}}, "ccccccc]").script({{0, 1}}, "dq");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::finished);
  CHECK(run.decoder.text(id) == "a:ccb:dq");
  run.script({}, "y.");
  const auto next = run.submit(tokens("r"), {.after = id});
  run.run();
  CHECK(run.history(next) == "p(a)(b){[a:cc][b:dq]}ry");
}

TEST_CASE("A request that is about to fork goes on when another one has lost its sequence") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){y.").script({{0, 0}}, "c]").script({{0, 1}}, "d]");
  const ab::RequestId forks = run.submit(tokens("p"));
  run.script({}, "xxxxxxxxxxxxxxx.");
  const ab::RequestId other = run.submit(tokens("q"));
  for (int pass = 0; pass < 7; ++pass) REQUIRE(run.step());  // the last of them samples `{`
  ab::Step step = run.cache.begin_step();
  step.drop(run.decoder.branch(other, ab::kTrunk).sequence);
  REQUIRE(step.plan());
  step.commit();
  run.run();
  CHECK(run.decoder.reason(other) == ab::EndReason::lost);
  CHECK(run.decoder.reason(forks) == ab::EndReason::end_of_text);
  CHECK(run.decoder.n_branches(forks) == 2);
}
