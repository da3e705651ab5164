// A decoder with a prefix cache: what is not computed again, counted in rows, and what happens when requests wait, end
// and are evicted in between.
#include <anabranch/cache/prefix_cache.hpp>

#include "scripted.hpp"

using namespace scripted;

namespace {

/// A scripted run whose decoder has a prefix cache.
struct Reuse {
  explicit Reuse(ab::DecoderOptions options = {}, ab::CacheOptions cache_options = {})
      : run(aspd(), std::move(options), kept(cache_options)), prefixes(run.cache) {
    run.decoder.use(&prefixes);
  }
  ~Reuse() { run.decoder.use(nullptr); }
  static ab::CacheOptions kept(ab::CacheOptions options) {
    options.keep_tokens = true;  // so that what is kept is checked against the cache
    return options;
  }

  /// Like Run::submit, for a prompt that may have blocks.
  ab::RequestId submit(const ab::StructuredPrompt& prompt, const ab::RequestOptions& options = {}) {
    return run.submit(prompt, options);
  }
  std::int32_t n_rows() const {
    std::size_t n = 0;
    for (const Pass& pass : run.passes) n += pass.rows.size();
    return static_cast<std::int32_t>(n);
  }
  std::int32_t n_reused(ab::RequestId id) const { return run.decoder.statistics(id).n_reused; }
  std::int32_t found(const ab::StructuredPrompt& prompt) const { return prefixes.find(prompt).n_tokens; }
  void release(ab::RequestId id) {
    run.decoder.release(id);
    REQUIRE(run.cache.snapshot().check() == std::vector<std::string>{});
  }

  AspdRun run;
  ab::PrefixCache<> prefixes;
};

ab::StructuredPrompt linear(const Tokens& list) { return ab::StructuredPrompt(std::span<const TokenId>(list)); }
ab::StructuredPrompt then(ab::StructuredPrompt prompt, const std::string& more) {
  prompt.append(tokens(more));
  return prompt;
}
Tokens letters_of(int n, int first = 0) {
  Tokens list;
  for (int i = 0; i < n; ++i) list.push_back(kFirstLetter + (i * 7 + i / 26 + first) % 26);
  return list;
}
ab::Status status_of(const std::function<void()>& call) {
  try {
    call();
    return ab::Status::ok;
  } catch (const ab::Error& error) {
    return error.status();
  }
}
const char* const kFirstHistory = "px(a)(b){[a:cd][b:e]}yz";

/// A request with a block: its history is kFirstHistory.
ab::RequestId first_turn(Reuse& r) {
  r.run.script({}, "x(a)(b){yz.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const auto id = r.run.submit(tokens("p"));
  r.run.run();
  REQUIRE(r.run.history(id) == kFirstHistory);
  return id;
}

}  // namespace

TEST_CASE("The next turn of a chat with branches computes its new tokens only") {
  for (const bool released : {true, false}) {
    Reuse r;
    const auto first = first_turn(r);
    const ab::StructuredPrompt history = r.run.decoder.history(first);
    CHECK(history.n_tokens() == 23);
    CHECK(history.n_structured() == 20);
    if (released) r.release(first);
    const std::int32_t n_before = r.n_rows();
    r.run.script({}, "w.");
    const auto second = r.submit(then(history, "qr"));
    r.run.run();
    CHECK(r.n_reused(second) == 23);
    CHECK(r.n_rows() - n_before == 2 + 1);  // and the token that it wrote
    CHECK(r.run.history(second) == std::string(kFirstHistory) + "qrw");
    CHECK(r.run.decoder.text(second) == "w");
    CHECK(r.run.decoder.statistics(second).n_prompt == 25);
    r.release(second);
    CHECK(r.found(then(then(history, "qrw"), "v")) == 26);
    r.prefixes.clear();
    if (released) CHECK(r.run.cache.n_sequences() == 0);
  }
}

TEST_CASE("The linear text of a joined history finds what comes before the second branch, and no more") {
  Reuse r;
  const auto first = first_turn(r);
  const ab::StructuredPrompt history = r.run.decoder.history(first);
  r.release(first);
  const Tokens text(history.tokens().begin(), history.tokens().end());
  r.run.script({}, "w.");
  const auto second = r.submit(then(linear(text), "qr"));
  r.run.run();
  CHECK(r.n_reused(second) == 15);  // up to the end of the first branch, which saw just that
  CHECK(r.run.history(second) == std::string(kFirstHistory) + "qrw");
  r.release(second);
  CHECK(r.found(then(history, "q")) == 23);
  CHECK(r.found(then(linear(text), "q")) == 24);
}

TEST_CASE("Blocks of a prompt that were evicted are computed anew, as blocks") {
  Reuse r;
  const auto first = first_turn(r);
  const ab::StructuredPrompt history = r.run.decoder.history(first);
  r.release(first);
  for (const bool all : {true, false}) {
    r.prefixes.clear();
    if (!all) {  // only what comes before the block is there
      r.run.script({}, ".");
      const auto start = r.run.submit(tokens("px(a)(b){"));
      r.run.run();
      r.release(start);
    }
    const std::int32_t n_before = r.n_rows();
    r.run.script({}, "w.");
    const auto second = r.submit(then(history, "qr"));
    r.run.run();
    CHECK(r.n_reused(second) == (all ? 0 : 9));
    CHECK(r.n_rows() - n_before == (all ? 25 : 16) + 1);
    CHECK(r.run.history(second) == std::string(kFirstHistory) + "qrw");
    CHECK(r.run.decoder.n_branches(second) == 0);
    CHECK(r.run.cache.positions_of(r.run.decoder.branch(second, ab::kTrunk).sequence).back() == 25);
    r.release(second);
    CHECK(r.found(then(history, "qr")) == 25);
  }
}

TEST_CASE("200 requests with one system prompt of 1,000 tokens compute it once, submitted together or in turn") {
  const Tokens system = letters_of(1000);
  for (const bool together : {true, false}) {
    Reuse r({.max_rows = 256}, {.n_pages = 2048});
    std::vector<ab::RequestId> ids;
    for (int k = 0; k < 200; ++k) {
      Tokens prompt = system;
      for (const TokenId token : {1000 + k, 12, 13}) prompt.push_back(token);
      r.run.script({}, "ab.");
      ids.push_back(r.submit(linear(prompt)));
      if (!together) r.run.run();
    }
    r.run.run();
    CHECK(r.n_rows() == 1000 + 200 * (3 + 2));
    std::int32_t n_reused = 0;
    for (const ab::RequestId id : ids) {
      n_reused += r.n_reused(id);
      CHECK(r.run.decoder.text(id) == "ab");
    }
    CHECK(n_reused == 199 * 1000);
    CHECK(r.run.cache.n_pages() - r.run.cache.n_free_pages() <= 63 + 200 * 2);
    for (const ab::RequestId id : ids) r.release(id);
    const ab::PrefixStatistics& s = r.prefixes.statistics();
    CHECK(s.n_lookups == 200);
    CHECK(s.n_hits == 199);
    CHECK(r.found(linear(system)) == 1000);
    r.prefixes.clear();
    CHECK(r.run.cache.n_sequences() == 0);
    CHECK(r.run.cache.n_free_pages() == r.run.cache.n_pages());
    CHECK(r.prefixes.n_nodes() == 1);
  }
}

TEST_CASE("A request that opts out computes its whole prompt, and is not kept") {
  Reuse r;
  const Tokens prompt = letters_of(40);
  const auto ask = [&](bool reuse) {
    r.run.script({}, "ab.");
    const std::int32_t n_before = r.n_rows();
    const auto id = r.submit(linear(prompt), {.reuse_prefix = reuse});
    r.run.run();
    r.release(id);
    return r.n_rows() - n_before;
  };
  CHECK(ask(false) == 42);
  CHECK(r.prefixes.n_histories() == 0);
  CHECK(ask(true) == 42);
  CHECK(r.prefixes.n_histories() == 1);
  CHECK(ask(false) == 42);
  CHECK(ask(true) == 3);
  CHECK(r.prefixes.statistics().n_lookups == 2);
}

TEST_CASE("Kept histories make room before a shortage is reported, and running requests keep theirs") {
  Reuse r({}, {.n_pages = 8, .page_size = 4});
  const auto answer = [&](const Tokens& prompt, bool release) {
    r.run.script({}, "ab.");
    const auto id = r.submit(linear(prompt));
    r.run.run();
    CHECK(r.run.decoder.reason(id) == ab::EndReason::end_of_text);
    if (release) r.release(id);
    return id;
  };
  for (int k = 0; k < 12; ++k) answer(letters_of(10, k), true);
  CHECK(r.prefixes.statistics().n_evicted > 0);
  CHECK(r.found(linear(letters_of(10, 11))) == 10);
  answer(letters_of(28, 3), false);  // needs nearly everything
  r.run.script({}, "ab.");
  r.submit(linear(letters_of(20, 9)));
  const auto plan = r.run.decoder.plan();
  CHECK_FALSE(plan);
  CHECK(plan.shortage().n_pages > 0);
}

TEST_CASE("Requests that wait for a prompt go on when the one that computes it is cancelled") {
  for (const int how : {0, 1, 2}) {
    Reuse r({.max_rows = 16});
    const Tokens prompt = letters_of(60);
    std::vector<ab::RequestId> ids;
    for (int k = 0; k < 3; ++k) {
      r.run.script({}, "ab.");
      ids.push_back(r.submit(linear(prompt)));
    }
    REQUIRE(r.run.step());
    CHECK(r.n_rows() == 16);  // the first alone
    if (how == 0) r.run.decoder.cancel(ids[0]);
    if (how == 1) r.run.decoder.finish(ids[0]);
    if (how == 2) r.release(ids[0]);
    if (how == 2) r.run.decoder.cancel(ids[2]);
    r.run.run();
    CHECK(r.run.decoder.text(ids[1]) == "ab");
    CHECK(r.n_rows() == 16 + 60 + 2 + (how == 2 ? 0 : 1 + 2));
    for (const ab::RequestId id : ids)
      if (how != 2 || id != ids[0]) r.release(id);
    r.prefixes.clear();
    CHECK(r.run.cache.n_sequences() == 0);
    CHECK(r.prefixes.n_nodes() == 1);
  }
}

TEST_CASE("A request that goes on after another keeps the whole chat, also after an answer that was cut") {
  Reuse r;
  r.run.script({}, "x(a)(b){yz.").script({{0, 0}}, "cdefgh]").script({{0, 1}}, "eeeeee]");
  const auto first = r.run.submit(tokens("p"), {.max_tokens = 14});
  r.run.run();
  CHECK(r.run.decoder.reason(first) == ab::EndReason::limit);
  const ab::StructuredPrompt cut = r.run.decoder.history(first);
  r.run.script({}, "w.");
  const auto second = r.run.submit(tokens("qr"), {.after = first});
  r.run.run();
  const ab::StructuredPrompt whole = r.run.decoder.history(second);
  CHECK(r.run.history(second) == spelled(Tokens(whole.tokens().begin(), whole.tokens().end())));
  CHECK(whole == then(cut, "qrw"));
  r.release(first);
  r.release(second);
  CHECK(r.found(whole) == whole.n_tokens());
  r.prefixes.clear();
  CHECK(r.prefixes.n_nodes() == 1);
  CHECK(r.run.cache.n_sequences() == 0);
}

TEST_CASE("Prompts with blocks that cannot be taken are refused") {
  Reuse r({}, {.max_depth = 1, .max_position = 100});
  ab::StructuredPrompt open = linear(tokens("a"));
  open.begin_block(ab::Positions::sequential, 1);
  ab::StructuredPrompt ends_with_block = linear(tokens("a"));
  ends_with_block.begin_block(ab::Positions::sequential, 0), ends_with_block.end_block();
  ab::StructuredPrompt deep = linear(tokens("a"));
  for (int i = 0; i < 2; ++i) deep.begin_block(ab::Positions::sequential, 1), deep.begin_branch(), deep.append({12});
  for (int i = 0; i < 2; ++i) deep.end_branch(), deep.end_block();
  deep.append({12});
  const auto status = [&](const ab::StructuredPrompt& prompt, const ab::RequestOptions& options = {}) {
    return status_of([&] { r.run.decoder.submit(prompt, options); });
  };
  CHECK(status(open) == ab::Status::bad_request);
  CHECK(status(ends_with_block) == ab::Status::bad_request);
  CHECK(status(linear({})) == ab::Status::bad_request);
  CHECK(status(deep) == ab::Status::limit_reached);
  CHECK(status(linear(Tokens(101, 12))) == ab::Status::bad_request);
  CHECK(status(linear({12}), {.after = ab::RequestId{1}}) == ab::Status::bad_request);
  CHECK(status(linear({12}), {.prefix = {.index = 1}}) == ab::Status::bad_request);
  CHECK_FALSE(r.run.decoder.has_work());
  const ab::SequenceId system = r.run.cache.create_sequence();
  const auto id = r.run.submit(tokens("ab"), {.prefix = system});
  CHECK(status_of([&] { r.run.decoder.history(id); }) == ab::Status::bad_request);
  CHECK(status_of([&] { r.run.decoder.history(ab::RequestId{99}); }) == ab::Status::stale_request);
}

TEST_CASE("A decoder that goes, or gives its prefix cache up, leaves nothing in it but what was kept") {
  Reuse r({.max_rows = 16});
  for (int k = 0; k < 3; ++k) {
    r.run.script({}, "abcdef.");
    r.submit(linear(letters_of(40)));
  }
  for (int i = 0; i < 4; ++i) REQUIRE(r.run.step());
  r.run.decoder.use(nullptr);
  CHECK(r.prefixes.n_nodes() == 1);
  r.run.run();
  for (std::uint64_t k = 1; k <= 3; ++k) CHECK(r.run.decoder.text(ab::RequestId{k}) == "abcdef");
  {
    ab::Decoder other(r.run.cache, aspd(), Letters{});
    other.use(&r.prefixes);
    other.submit(letters_of(20));
    REQUIRE(other.plan());
  }
  CHECK(r.prefixes.n_nodes() == 1);
}
