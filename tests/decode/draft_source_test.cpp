// Drafts of a source that proposes anything: every token, log-probability, event and reason is that without drafts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>

#include "scheduler/hash_model.hpp"
#include "scripted.hpp"
#include "support/hostile_drafts.hpp"

namespace {

namespace ab = anabranch;
using letters::Tokens;
using scripted::LettersDecoder;

/// Requests over one cache, and how they are limited.
struct Setup {
  ab::DecoderOptions decoder;
  ab::CacheOptions cache;
  bool is_unruly = false;
  bool is_serial = false;
  std::vector<std::pair<Tokens, ab::RequestOptions>> requests;
};

struct Written {
  std::vector<ab::Event> events;
  std::vector<Tokens> texts;  ///< of all branches
  std::int32_t n_passes = 0, n_drafted = 0, n_accepted = 0, n_saved = 0;
};

ab::test::AnyMarkup markup_of(const Setup& setup) {
  if (setup.is_serial) return ab::markup::Serial();
  if (setup.is_unruly) return schedules::Unruly();
  ab::markup::AspdOptions options;
  options.unique_titles = options.well_formed = true;
  options.end_of_text = {letters::kEnd};
  return letters::with(options);
}

/// Runs all requests together to the end. `random` aborts some passes.
Written written(const Setup& setup, ab::DraftSource* drafts, std::mt19937* random = nullptr) {
  ab::KvCache cache(setup.cache);
  LettersDecoder decoder(cache, markup_of(setup), letters::Letters{}, setup.decoder);
  decoder.draft_with(drafts);
  schedules::HashModel model;
  std::vector<ab::RequestId> ids;
  for (const auto& [prompt, options] : setup.requests) ids.push_back(decoder.submit(prompt, options));
  Written result;
  const auto take = [&](std::span<const ab::Event> events) {
    result.events.insert(result.events.end(), events.begin(), events.end());
  };
  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    take(decoder.take_events());
    if (!plan) {
      if (plan.shortage().n_pages == 0) continue;
      decoder.finish(*std::find_if(ids.begin(), ids.end(),
                                   [&](ab::RequestId id) { return decoder.reason(id) == ab::EndReason::none; }));
      continue;
    }
    ++result.n_passes;
    const ab::LogitsView logits = model(*plan);
    if (random != nullptr && (*random)() % 16 == 0) {
      decoder.abort();
      continue;
    }
    take(decoder.commit(logits));
    REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
  }
  take(decoder.take_events());
  for (const ab::RequestId id : ids) {
    for (ab::BranchIndex i = 0; i <= decoder.n_branches(id); ++i) result.texts.push_back(decoder.branch(id, i).tokens);
    const ab::Statistics& statistics = decoder.statistics(id);
    result.n_drafted += statistics.n_drafted;
    result.n_accepted += statistics.n_accepted;
    result.n_saved += statistics.n_passes_saved;
  }
  return result;
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

bool is_same(const ab::Event& a, const ab::Event& b) {
  const auto same_top = [](const ab::TokenLogProbability& x, const ab::TokenLogProbability& y) {
    return x.token == y.token && same_bits(x.log_probability, y.log_probability);
  };
  return a.kind == b.kind && a.request == b.request && a.branch == b.branch && a.text == b.text && a.token == b.token &&
         a.role == b.role && a.source == b.source && same_bits(a.log_probability, b.log_probability) &&
         std::equal(a.top.begin(), a.top.end(), b.top.begin(), b.top.end(), same_top) &&
         a.first_branch == b.first_branch && a.n_branches == b.n_branches && a.titles == b.titles &&
         a.reason == b.reason && a.statistics.n_sampled == b.statistics.n_sampled &&
         a.statistics.n_forced == b.statistics.n_forced && a.statistics.n_forgotten == b.statistics.n_forgotten &&
         a.statistics.n_text() == b.statistics.n_text() && a.statistics.n_branches == b.statistics.n_branches;
}

/// The events of each request, in their order.
std::map<ab::RequestId, std::vector<ab::Event>> by_request(const Written& run) {
  std::map<ab::RequestId, std::vector<ab::Event>> result;
  for (const ab::Event& event : run.events) result[event.request].push_back(event);
  return result;
}

void check_same_events(const Written& with, const Written& without) {
  REQUIRE(with.texts == without.texts);
  const auto found = by_request(with), expected = by_request(without);
  REQUIRE(found.size() == expected.size());
  for (const auto& [id, events] : expected) {
    REQUIRE(found.at(id).size() == events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      INFO("event " << i << " of request " << static_cast<std::uint64_t>(id));
      REQUIRE(is_same(found.at(id)[i], events[i]));
    }
  }
}

Tokens some_letters(std::mt19937& random, std::size_t n_most) {
  Tokens result(1 + random() % n_most);
  for (auto& token : result) token = letters::kFirstLetter + static_cast<ab::TokenId>(random() % 20);
  return result;
}

ab::RequestOptions random_request(std::mt19937& random) {
  ab::RequestOptions options;
  const auto one_in = [&](std::uint32_t n) { return random() % n == 0; };
  const auto up_to = [&](std::uint32_t n) { return 1 + static_cast<std::int32_t>(random() % n); };
  options.sampling.seed = random();
  if (!one_in(3)) options.sampling.temperature = 0.2f + 0.1f * static_cast<float>(random() % 12);
  if (one_in(4)) options.sampling.top_k = up_to(20);
  if (one_in(4)) options.sampling.repetition_penalty = 1.3f;
  if (one_in(6)) options.sampling.presence_penalty = 0.5f;
  if (one_in(4)) options.no_repeat_ngram = 1 + up_to(2);
  if (one_in(2)) options.n_log_probabilities = up_to(4) - 1;
  if (one_in(6)) options.logit_bias = {{letters::kFirstLetter + 3, 1.5f}, {letters::kPara, -4.0f}};
  if (one_in(5)) options.stop = {std::string(1, static_cast<char>('a' + random() % 20)) + "b", "zz"};
  if (one_in(6)) options.stop_tokens = {letters::kFirstLetter + static_cast<ab::TokenId>(random() % 26)};
  options.max_tokens = up_to(60);
  if (one_in(3)) options.max_branch_tokens = up_to(9);
  if (one_in(3)) options.max_parallel_branches = up_to(4);
  return options;
}

Setup random_setup(std::mt19937& random) {
  Setup setup;
  const ab::Positions policies[] = {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(20)};
  setup.decoder.positions = policies[random() % 3];
  setup.decoder.max_depth = static_cast<std::int32_t>(random() % 4);
  setup.decoder.max_branches = 4;
  setup.decoder.end_of_text = {letters::kEnd};
  setup.decoder.draft = random() % 2 == 0;
  setup.decoder.preemptible = random() % 2 == 0;
  setup.decoder.max_rows = random() % 2 == 0 ? 512 : 2 + static_cast<std::int32_t>(random() % 12);
  setup.cache.n_pages = 1024;
  setup.cache.page_size = 1 + static_cast<std::int32_t>(random() % 5);
  if (random() % 3 == 0) setup.cache.max_position = 12 + static_cast<std::int32_t>(random() % 60);
  setup.is_unruly = random() % 2 == 0;
  setup.is_serial = random() % 5 == 0;
  const std::size_t n_requests = 1 + random() % 3;
  for (std::size_t i = 0; i < n_requests; ++i)
    setup.requests.emplace_back(some_letters(random, 8), random_request(random));
  return setup;
}

/// What a decoder of its own writes into a pool of few pages, where nothing is to be finished for room.
ab::EndReason reason_with(Setup setup, std::int32_t n_pages, ab::DraftSource* drafts, Written& run) {
  setup.cache.n_pages = n_pages;
  run = written(setup, drafts);
  for (const ab::Event& event : run.events)
    if (event.kind == ab::Event::Kind::end) return event.reason;
  return ab::EndReason::none;
}

}  // namespace

TEST_CASE("Whatever is drafted, texts, log-probabilities and events are those without drafts, in no more passes") {
  std::mt19937 random(11);
  std::int64_t n_drafted = 0, n_accepted = 0, n_saved = 0, n_passes = 0;
  for (std::uint32_t i = 0; i < 2500; ++i) {
    INFO("setup " << i);
    const Setup setup = random_setup(random);
    std::optional<Written> without;
    try {
      without = written(setup, nullptr);
    } catch (const ab::Error&) {  // a prompt that ends behind the last position, a stop token that ...
      continue;
    }
    ab::test::HostileDrafts drafts(i, without->texts, letters::kVocabulary);
    const Written with = written(setup, &drafts, i % 2 == 0 ? &random : nullptr);
    check_same_events(with, *without);
    if (i % 2 != 0) REQUIRE(with.n_passes <= without->n_passes);
    REQUIRE(with.n_accepted <= with.n_drafted);
    n_drafted += with.n_drafted;
    n_accepted += with.n_accepted;
    n_saved += with.n_saved;
    n_passes += without->n_passes;
  }
  INFO(n_drafted << " drafted, " << n_accepted << " accepted, " << n_saved << " passes saved of " << n_passes);
  CHECK(n_accepted > 10000);
  CHECK(n_drafted > n_accepted + 10000);
  CHECK(n_saved > 8000);
  CHECK(n_accepted > n_saved + 100);  // branches went on together
}

TEST_CASE("Drafts of a source are left out where they find no page: a request needs no more pages than without") {
  std::mt19937 random(5);
  for (std::uint32_t i = 0; i < 60; ++i) {
    Setup setup = random_setup(random);
    setup.decoder.preemptible = false;
    setup.cache.max_position = ab::CacheOptions{}.max_position;
    setup.requests.resize(1);
    const Written free = written(setup, nullptr);
    for (std::int32_t n_pages = 4; n_pages < 40; n_pages += 3) {
      INFO("setup " << i << ", " << n_pages << " pages");
      Written without, with;
      const ab::EndReason expected = reason_with(setup, n_pages, nullptr, without);
      ab::test::HostileDrafts drafts(i, free.texts, letters::kVocabulary);
      CHECK(reason_with(setup, n_pages, &drafts, with) == expected);
      check_same_events(with, without);
    }
  }
}

TEST_CASE("A pass that brings several rounds tells their events in order, and counts once") {
  Setup setup;
  setup.is_serial = true;
  setup.decoder.end_of_text = {letters::kEnd};
  setup.decoder.max_tokens = 12;
  setup.requests.emplace_back(letters::tokens("abc"), ab::RequestOptions{});
  setup.requests[0].second.logit_bias = {{letters::kEnd, -std::numeric_limits<float>::infinity()}};
  const Written without = written(setup, nullptr);
  class Right final : public ab::DraftSource {
   public:
    explicit Right(Tokens text) : text_(std::move(text)) {}
    void propose(const ab::DraftContext& context, ab::DraftChain& chain) override {
      REQUIRE(context.levels.size() == 2);
      CHECK(letters::spelled({context.levels[0].tokens.begin(), context.levels[0].tokens.end()}) == "abc");
      const std::size_t n = context.levels[1].tokens.size();
      chain.tokens.assign(text_.begin() + static_cast<std::ptrdiff_t>(n), text_.end());
    }
    void choose(std::span<ab::DraftOffer> offers, std::int32_t n_rows, std::int32_t n_keys) override {
      CHECK(n_rows == 1);
      CHECK(n_keys >= 4);
      for (ab::DraftOffer& offer : offers) offer.n_rows = 3;
    }
    void learn(const ab::RowCost&) noexcept override {}

   private:
    Tokens text_;
  };
  REQUIRE(without.texts[0].size() > 8);
  Right right(without.texts[0]);
  const Written with = written(setup, &right);
  check_same_events(with, without);
  CHECK(with.n_accepted == with.n_saved);
  CHECK(with.n_passes + with.n_saved == without.n_passes);
  CHECK(with.n_passes <= (without.n_passes + 5) / 4 + 1);
}
