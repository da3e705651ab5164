// The prefix cache against what K and V really depend on.
//
// Every row of every pass gets an identity: its token, its position, and the identities that it sees, in order, as the
// plan says. A hit is right exactly when the slots of its sequence hold the identities that the prompt would have given
// them. What is kept is searched naively too, so that nothing is missed.
#include <algorithm>
#include <map>
#include <random>

#include <anabranch/cache/prefix_cache.hpp>

#include "cache_steps.hpp"
#include "plan_reading.hpp"
#include "prompts.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

using Identities = std::vector<int>;

class PrefixWorld {
 public:
  explicit PrefixWorld(std::uint32_t seed)
      : random_(seed),
        cache_({.n_pages = 24 + below(40), .page_size = 1 + below(5), .keep_tokens = true}),
        prefixes_(cache_, {.max_histories = 1 + below(12)}) {}

  void act() {
    switch (below(8)) {
      case 0:
      case 1:
      case 2: start(); break;
      case 3:
      case 4:
      case 5: end(); break;
      case 6: prefixes_.make_room(below(cache_.n_pages() + 1)); break;
      default: go_on(); break;
    }
    REQUIRE(violations(cache_) == "");
  }
  void finish_all() {
    while (!requests_.empty()) end();
    prefixes_.clear();
    CHECK(prefixes_.n_nodes() == 1);
    CHECK(cache_.n_sequences() == 0);
    CHECK(cache_.n_free_pages() == cache_.n_pages());
  }
  int n_hits = 0;
  int n_joined_hits = 0;

 private:
  struct Request {
    SequenceId sequence;
    StructuredPrompt prompt;
    PrefixIndex pin;
    RunningPrefixIndex running;
    bool shared = false;
    std::int32_t n_shared = 0;  ///< tokens announced
  };

  std::int32_t below(std::int32_t n) { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(n)); }
  std::vector<TokenId> draw(std::int32_t n) {
    std::vector<TokenId> list;
    for (std::int32_t i = 0; i < n; ++i) list.push_back(below(2));
    return list;
  }

  // Prompts.

  void add_block(StructuredPrompt& prompt, int depth) {
    const Positions policies[] = {Positions::sequential, Positions::sequential, Positions::longest,
                                  Positions::reserved(60)};
    const std::int32_t n = below(4);
    prompt.begin_block(policies[below(depth == 0 ? 4 : 3)], n);
    for (std::int32_t k = 0; k < n; ++k) {
      prompt.begin_branch();
      prompt.append(draw(below(3)));
      if (depth < 2 && below(4) == 0) add_block(prompt, depth + 1);
      prompt.append(draw(below(2)));
      prompt.end_branch();
    }
    prompt.end_block();
  }
  /// Goes on from an earlier prompt, or from nothing.
  StructuredPrompt draw_prompt() {
    StructuredPrompt prompt;
    if (!known_.empty() && below(8) > 0) {
      const StructuredPrompt& before =
          known_[static_cast<std::size_t>(below(static_cast<std::int32_t>(known_.size())))];
      prompt = before.first(below(4) == 0 ? below(before.n_tokens() + 1) : before.n_tokens());
    }
    if (prompt.n_tokens() > 24) prompt = prompt.first(below(24));
    for (std::int32_t i = below(3); i-- > 0;) {
      prompt.append(draw(below(4)));
      add_block(prompt, 0);
    }
    prompt.append(draw(1 + below(3)));
    known_.push_back(prompt);
    return prompt;
  }

  // Identities.

  int identity_of(TokenId token, Position position, const Identities& seen) {
    Identities key = {token, position};
    key.insert(key.end(), seen.begin(), seen.end());
    return identities_.emplace(std::move(key), static_cast<int>(identities_.size())).first->second;
  }
  /// What the prompt's tokens are, computed with nothing but its text.
  Identities identities_of(const StructuredPrompt& prompt) {
    using Kind = StructuredPrompt::Item::Kind;
    std::vector<std::pair<Identities, Identities>> levels;  // what was seen at the fork, and the parent's now
    Identities seen;
    for (const StructuredPrompt::Item& item : prompt.items()) {
      for (std::int32_t i = 0; i < item.n_tokens; ++i)
        seen.push_back(identity_of(prompt.tokens_of(item)[static_cast<std::size_t>(i)], item.position + i, seen));
      if (item.kind == Kind::begin_block) levels.push_back({seen, seen});
      if (item.kind == Kind::begin_branch) seen = levels.back().first;
      if (item.kind == Kind::end_branch) {
        const auto own = seen.begin() + std::ssize(levels.back().first);
        levels.back().second.insert(levels.back().second.end(), own, seen.end());
      }
      if (item.kind == Kind::end_block) {
        seen = levels.back().second;
        levels.pop_back();
      }
    }
    return seen;
  }
  Identities identities_of(SequenceId sequence) const {
    Identities list;
    for (const Slot slot : cache_.slots_of(sequence)) list.push_back(held_.at(slot));
    return list;
  }
  /// The model: notes what each row of the plan is.
  void run(const StepPlan& plan) {
    std::vector<std::pair<std::vector<Slot>, RowIndex>> rows;
    for (RowIndex row = 0; row < plan.n_rows(); ++row) rows.push_back({visible_slots(plan, row), row});
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
    for (auto& [slots, row] : rows) {
      slots.pop_back();  // its own
      Identities seen;
      for (const Slot slot : slots) seen.push_back(held_.at(slot));
      const auto r = static_cast<std::size_t>(row);
      held_[plan.slots[r]] = identity_of(plan.tokens[r], plan.positions[r], seen);
    }
  }

  // Operations.

  bool compute(SequenceId sequence, const StructuredPrompt& prompt, std::int32_t n_done) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      Step step = cache_.begin_step();
      feed_prompt(step, sequence, prompt, n_done);
      const PlanResult plan = step.plan();
      if (plan) {
        run(*plan);
        step.commit();
        REQUIRE(identities_of(sequence) == identities_of(prompt));
        return true;
      }
      const std::int32_t n_needed = cache_.n_free_pages() + plan.shortage().n_pages;
      step.abort();
      prefixes_.make_room(n_needed);
    }
    return false;
  }
  void drop(SequenceId sequence) {
    in_step(cache_, [&](Step& step) { step.drop(sequence); });
  }

  void check_found(const StructuredPrompt& prompt, std::int32_t n_most) {
    const Identities wanted = identities_of(prompt);
    const auto starts_with = [](const Identities& list, const Identities& start) {
      return list.size() >= start.size() && std::equal(start.begin(), start.end(), list.begin());
    };
    std::vector<Identities> lists;
    prefixes_.for_each_history([&](SequenceId s, PrefixIndex) { lists.push_back(identities_of(s)); });
    for (const Request& request : requests_) {
      if (!request.shared) continue;
      lists.push_back(identities_of(request.sequence));
      lists.back().resize(static_cast<std::size_t>(request.n_shared));
    }
    std::int32_t most = 0;
    for (std::int32_t n = 1; n <= std::min(n_most, prompt.n_tokens()); ++n) {
      if (prompt.first(n).n_tokens() != n) continue;  // inside a block
      const Identities start(wanted.begin(), wanted.begin() + n);
      for (const Identities& list : lists)
        if (starts_with(list, start)) most = n;
    }
    const PrefixMatch match = prefixes_.find(prompt, n_most);
    REQUIRE(match.n_tokens <= most);
    REQUIRE(match.n_tokens >= least_found(prompt, lists, n_most));
    REQUIRE(prompt.first(match.n_tokens).n_tokens() == match.n_tokens);
    if (match.n_tokens > 0) REQUIRE(match.next == prompt.first(match.n_tokens).next_position());
  }
  /// What must be found: where a prompt that was used before ends outside its blocks, and some list holds it.
  std::int32_t least_found(const StructuredPrompt& prompt, const std::vector<Identities>& lists, std::int32_t n_most) {
    const Identities wanted = identities_of(prompt);
    std::int32_t least = 0;
    for (const Identities& list : lists) {
      const auto origin = std::find_if(known_.begin(), known_.end(), [&](const StructuredPrompt& known) {
        return identities_of(known).size() >= list.size() &&
               identities_of(known.first(static_cast<std::int32_t>(list.size()))) == list;
      });
      if (origin == known_.end()) continue;
      for (std::int32_t n = 1; n <= std::min({n_most, prompt.n_tokens(), static_cast<std::int32_t>(list.size())}); ++n)
        if (prompt.first(n).n_tokens() == n && origin->first(n).n_tokens() == n &&
            std::equal(list.begin(), list.begin() + n, wanted.begin()))
          least = std::max(least, n);
    }
    return least;
  }

  void start() {
    if (requests_.size() >= 4) return end();
    const StructuredPrompt prompt = draw_prompt();
    const std::int32_t n_most = below(3) > 0 ? prompt.n_tokens() - 1 : below(prompt.n_tokens());
    check_found(prompt, n_most);
    const std::int32_t n_found = prefixes_.find(prompt, n_most).n_tokens;
    const PrefixHit hit = prefixes_.take(prompt, n_most);
    REQUIRE(hit.n_tokens == n_found);
    Request request{hit.sequence, prompt, hit.pin, {}};
    if (hit) {
      const Identities wanted = identities_of(prompt);
      REQUIRE(identities_of(hit.sequence) == Identities(wanted.begin(), wanted.begin() + hit.n_tokens));
      REQUIRE(cache_.next_position(hit.sequence) == prompt.first(hit.n_tokens).next_position());
      ++n_hits;
      n_joined_hits += prompt.first(hit.n_tokens).n_structured() > 0 ? 1 : 0;
    } else {
      request.sequence = cache_.create_sequence();
    }
    if (below(2) == 0) {
      request.running = prefixes_.announce(prompt);
      request.n_shared = prompt.n_tokens();
      REQUIRE(prefixes_.find(prompt).n_pending == prompt.n_tokens());
    }
    if (!compute(request.sequence, prompt, hit.n_tokens)) return abandon(request);
    if (request.running != kNoIndex && below(3) > 0) {
      prefixes_.share(request.running, request.sequence);
      request.shared = true;
    }
    requests_.push_back(std::move(request));
  }
  void abandon(const Request& request) {
    prefixes_.withdraw(request.running);
    prefixes_.unpin(request.pin);
    drop(request.sequence);
  }
  /// A running request writes more, with blocks.
  void go_on() {
    if (requests_.empty()) return;
    Request& request = requests_[static_cast<std::size_t>(below(static_cast<std::int32_t>(requests_.size())))];
    StructuredPrompt more = request.prompt;
    if (more.n_tokens() > 30) return;
    more.append(draw(below(3)));
    add_block(more, 0);
    more.append(draw(1));
    if (!compute(request.sequence, more, request.prompt.n_tokens())) return;
    known_.push_back(more);
    request.prompt = more;
  }
  void end() {
    if (requests_.empty()) return;
    const auto at = requests_.begin() + below(static_cast<std::int32_t>(requests_.size()));
    const Request request = *at;
    requests_.erase(at);
    if (below(5) == 0) return abandon(request);
    prefixes_.keep(request.sequence, request.prompt);
    prefixes_.withdraw(request.running);
    prefixes_.unpin(request.pin);
  }

  std::mt19937 random_;
  KvCache cache_;
  PrefixCache<> prefixes_;
  std::vector<StructuredPrompt> known_;
  std::vector<Request> requests_;
  std::map<Identities, int> identities_;
  std::map<Slot, int> held_;
};

}  // namespace

TEST_CASE("Whatever is kept, shared and evicted, a hit holds exactly what its prompt would have computed") {
  int n_hits = 0, n_joined_hits = 0;
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    PrefixWorld world(seed);
    for (int i = 0; i < 80; ++i) world.act();
    world.finish_all();
    n_hits += world.n_hits;
    n_joined_hits += world.n_joined_hits;
  }
  CHECK(n_hits > 500);
  CHECK(n_joined_hits > 100);
}
