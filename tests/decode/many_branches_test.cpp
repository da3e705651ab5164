// One request with thousands of branches, against a naive writer that writes one branch after the other.
#include <cstdint>

#include "scripted.hpp"

using namespace scripted;

namespace {

constexpr TokenId kEndBranch = 3, kJoined = 4, kFinish = 5, kFork = 100;  // kFork + n: into n branches

/// A random token of the branch's alphabet; a function of the branch and of the token's index alone.
TokenId choice(ab::StreamKey stream, std::int64_t index, std::size_t depth) {
  const std::uint64_t r = ab::mix(static_cast<std::uint64_t>(stream) ^ ab::mix(static_cast<std::uint64_t>(index)));
  if (depth == 0) {
    const TokenId trunk[] = {30, kFork + 1200, 31, kFork + 40, kFork + 3, kFinish};
    return trunk[index];
  }
  if (index == 12 || r % 5 == 0) return kEndBranch;
  if (r % 7 == 0 && depth < 4) return kFork + 1 + static_cast<TokenId>(r / 7 % 4);
  return 10 + static_cast<TokenId>(r / 7 % 50);
}

/// Of a block of two the branches start without a prefix.
std::vector<ab::markup::Seed> seeds(std::int32_t n) {
  std::vector<ab::markup::Seed> result(static_cast<std::size_t>(n));
  for (std::int32_t k = 0; k < n && n != 2; ++k) {
    result[static_cast<std::size_t>(k)].prefix = {{kColon, ab::markup::Role::tag},
                                                  {60 + k % 9, ab::markup::Role::text}};
  }
  return result;
}

struct Bush {
  struct State {};
  State start() const { return {}; }
  State child(const State&, std::int32_t) const { return {}; }
  ab::markup::Action next(State&, TokenId token) const {
    if (token >= kFork) return ab::markup::Action::fork(seeds(token - kFork));
    if (token == kEndBranch) return ab::markup::Action::end_branch();
    return token == kFinish ? ab::markup::Action::finish() : ab::markup::Action::go_on();
  }
  ab::markup::Action joined(State&) const { return ab::markup::Action::force({{kJoined, ab::markup::Role::tag}}); }
  ab::markup::Forced closing(const State&) const { return {{kEndBranch, ab::markup::Role::tag}}; }
};

std::uint64_t hash_of(std::uint64_t hash, std::span<const TokenId> list) {
  for (const TokenId token : list) hash = ab::mix(hash ^ static_cast<std::uint64_t>(token));
  return hash;
}

/// Writes the answer branch by branch.
struct Writer {
  explicit Writer(bool is_longest) : longest(is_longest) {}
  void push(TokenId token, ab::Position& at, std::uint64_t& hash) {
    written.push_back(token);
    positions.push_back(at++);
    hash = hash_of(hash, {&token, 1});
  }
  /// Returns the next position; `hash` is of the answer's tokens that the branch sees before it, and after it.
  ab::Position write(ab::StreamKey stream, std::size_t depth, ab::Position at, const ab::markup::Forced& prefix,
                     std::uint64_t hash) {
    for (const auto& token : prefix) push(token.token, at, hash);
    std::int32_t n_blocks = 0;
    for (std::int64_t index = 0;; ++index) {
      seen[{stream, index}] = hash;
      const TokenId token = choice(stream, index, depth);
      push(token, at, hash);
      if (token == kEndBranch || token == kFinish) return at;
      if (token < kFork) continue;
      const auto block = seeds(token - kFork);
      const std::size_t first = written.size();
      ab::Position next = at;
      for (std::int32_t k = 0; k < token - kFork; ++k) {
        const ab::Position end = write(ab::branch_stream(stream, n_blocks, k), depth + 1, at,
                                       block[static_cast<std::size_t>(k)].prefix, hash);
        next = longest ? std::max(next, end) : next + end - at;
      }
      ++n_blocks;
      at = next;
      hash = hash_of(hash, std::span(written).subspan(first));
      push(kJoined, at, hash);
    }
  }
  bool longest;
  Tokens written;
  std::vector<ab::Position> positions;
  std::map<std::pair<ab::StreamKey, std::int64_t>, std::uint64_t> seen;
};

}  // namespace

TEST_CASE("A request with thousands of branches writes as branch after branch, however many run at once") {
  for (const bool is_longest : {false, true}) {
    for (const std::int32_t n_at_once : {100000, 60}) {
      if (is_longest && n_at_once == 60) continue;  // slow, and the same code
      const std::uint64_t seed = 7 + (is_longest ? 1 : 0);
      INFO("longest " << is_longest << " at once " << n_at_once);
      Writer writer(is_longest);
      const Tokens prompt = {1, 2};
      writer.write(ab::trunk_stream(seed), 0, 2, {}, 0);
      ab::KvCache cache({.n_pages = 1 << 15, .page_size = 4});
      LettersDecoder decoder{cache,
                             Bush(),
                             Letters(),
                             {.max_branches = n_at_once,
                              .max_tokens = 1 << 30,
                              .max_rows = 1 << 20,
                              .positions = is_longest ? ab::Positions::longest : ab::Positions::sequential}};
      const auto id = decoder.submit(prompt, {.sampling = {.repetition_penalty = 1.5f, .seed = seed}});
      std::map<ab::Slot, TokenId> held;
      std::int64_t n_outputs = 0;
      for (int pass = 0; decoder.has_work(); ++pass) {
        if (pass % 3 == 1) {
          REQUIRE(decoder.plan());
          decoder.abort();
        }
        const auto plan = decoder.plan();
        REQUIRE(plan);
        for (std::size_t r = 0; r < plan->tokens.size(); ++r) held[plan->slots[r]] = plan->tokens[r];
        Tokens sampled;
        bool is_right = true;
        for (const ab::OutputSettings& output : plan.output_settings()) {
          const auto seen = writer.seen.find({output.stream, output.index});
          is_right = is_right && seen != writer.seen.end() && seen->second == hash_of(0, output.seen);
          const std::size_t depth = decoder.branch(id, output.branch).path.size();
          sampled.push_back(choice(output.stream, output.index, depth));
        }
        REQUIRE(is_right);
        REQUIRE((n_at_once == 100000 || std::ssize(sampled) <= n_at_once));
        n_outputs += std::ssize(sampled);
        decoder.commit_sampled(sampled);
      }
      CHECK(n_outputs == static_cast<std::int64_t>(writer.seen.size()));
      const ab::Branch trunk = decoder.branch(id, ab::kTrunk);
      CHECK(trunk.tokens == writer.written);
      CHECK(decoder.n_branches(id) > 1500);
      Tokens history;
      for (const ab::Slot slot : cache.slots_of(trunk.sequence)) history.push_back(held.at(slot));
      Tokens expected = prompt;  // the last token has not been fed
      expected.insert(expected.end(), writer.written.begin(), writer.written.end() - 1);
      CHECK(history == expected);
      std::vector<ab::Position> positions = {0, 1};
      positions.insert(positions.end(), writer.positions.begin(), writer.positions.end() - 1);
      CHECK(cache.positions_of(trunk.sequence) == positions);
      REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
      decoder.release(id);
      CHECK(cache.n_free_pages() == cache.n_pages());
    }
  }
}

TEST_CASE("Thousands of requests come, fork, end and go; each is told apart by its user data") {
  constexpr std::uint64_t kN = 2000;
  ab::KvCache cache({.n_pages = 1 << 14, .page_size = 4});
  LettersDecoder decoder{cache, Bush(), Letters(), {.max_rows = 1 << 20}};
  std::vector<ab::RequestId> ids;
  for (std::uint64_t i = 0; i < kN; ++i) ids.push_back(decoder.submit({9, 8}, {.user_data = i * i}));
  std::uint64_t n_ended = 0;
  const Tokens script = {30, kFork + 3, kEndBranch, kFinish};
  for (const TokenId token : script) {
    const auto plan = decoder.plan();
    REQUIRE(plan);
    bool is_right = true;
    for (const ab::OutputSettings& output : plan.output_settings())
      is_right = is_right && ids[static_cast<std::uint64_t>(output.request) - 1] == output.request &&
                 output.user_data == (static_cast<std::uint64_t>(output.request) - 1) *
                                         (static_cast<std::uint64_t>(output.request) - 1);
    for (const ab::Event& event : decoder.commit_sampled(Tokens(plan.output_settings().size(), token))) {
      const std::uint64_t i = static_cast<std::uint64_t>(event.request) - 1;
      is_right = is_right && event.user_data == i * i;
      if (event.kind == ab::Event::Kind::end) ++n_ended;
    }
    REQUIRE(is_right);
  }
  CHECK(n_ended == kN);
  CHECK_FALSE(decoder.has_work());
  for (std::uint64_t i = 0; i < kN; ++i) decoder.release(ids[i % 2 == 0 ? i / 2 : kN - 1 - i / 2]);
  CHECK(cache.n_sequences() == 0);
  CHECK(cache.n_free_pages() == cache.n_pages());
  REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
}
