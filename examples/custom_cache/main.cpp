// A cache with the caller's own types: a payload, a position policy and a constant page size.
//
// Four candidates fork from a prompt and are written side by side. The payload keeps the score of each, found by the
// sequence's id when a pass gives an output for it. The model, a stand-in that needs no weights, was trained on blocks
// of 8 positions, so branches start at a multiple of 8, and so does the parent once it goes on. The trunk adopts the
// best candidate.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "../common/output.hpp"

namespace ab = anabranch;

namespace {

/// Branches start at the next multiple of `block`; a join goes on at the next multiple behind the longest branch.
struct Blocks {
  ab::Position block = 8;
  bool valid() const noexcept { return block > 0; }
  bool is_given() const noexcept { return false; }
  ab::WidePosition start(ab::Position next, std::int32_t) const noexcept { return round_up(next); }
  ab::WidePosition end(ab::Position, std::int32_t) const noexcept { return ab::kUnlimited; }
  ab::WidePosition after_fork(ab::Position next, std::int32_t) const noexcept { return round_up(next); }
  ab::NextRule after_join(ab::Position next, ab::Position) const noexcept { return {next, 0}; }

 private:
  ab::WidePosition round_up(ab::Position next) const noexcept {
    return (ab::WidePosition{next} + block - 1) / block * block;
  }
};

/// Kept by the cache for every candidate.
struct Candidate {
  std::string text;
  double score = 0;
};

using Cache = ab::BasicKvCache<Candidate, Blocks, ab::FixedPageSize<16>>;

/// The stand-in: the token of a row follows from the token and the position that the row has, and from its branch.
ab::TokenId next_token(const ab::StepPlan& plan, ab::RowIndex row, std::uint32_t branch) {
  const auto at = static_cast<std::size_t>(row);
  return (plan.tokens[at] * 7 + plan.positions[at] + static_cast<ab::TokenId>(branch)) % 26;
}

/// Runs a step: each output's token goes to the payload of its sequence.
void pass(Cache& cache, Cache::Step& step) {
  const ab::PlanResult plan = step.plan();
  if (!plan) throw std::runtime_error("the cache is short of pages");
  for (const ab::Output& output : plan->outputs) {
    const ab::TokenId token = next_token(*plan, output.row, output.sequence.index);
    Candidate& candidate = cache.payload(output.sequence);
    candidate.text += static_cast<char>('a' + token);
    candidate.score += token % 5 - 2;
  }
  step.commit();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    std::fprintf(stderr, "error: this program takes no options and no arguments; it was given %s\n", argv[1]);
    return 2;
  }
  Cache cache({.n_pages = 64, .page_size = 16});
  const ab::SequenceId trunk = cache.create_sequence();
  auto prompt = cache.begin_step();
  prompt.append(trunk, {15, 17, 14, 12, 15, 19});
  const std::vector<ab::SequenceId> candidates = prompt.fork(trunk, 4);
  for (const ab::SequenceId candidate : candidates) prompt.append(candidate, {0}, ab::Logits::last);
  pass(cache, prompt);
  std::printf("prompt of %d tokens; branches start at position %d\n", cache.n_tokens(trunk),
              cache.start_position(candidates[0]));
  for (int i = 1; i < 6; ++i) {
    auto step = cache.begin_step();
    for (const ab::SequenceId candidate : candidates)
      step.append(candidate, {cache.payload(candidate).text.back() - 'a'}, ab::Logits::last);
    pass(cache, step);
  }

  ab::SequenceId best = candidates.front();
  for (const ab::SequenceId candidate : candidates) {
    std::printf("  %s  score %.0f\n", cache.payload(candidate).text.c_str(), cache.payload(candidate).score);
    if (cache.payload(candidate).score > cache.payload(best).score) best = candidate;
  }
  const std::string text = cache.payload(best).text;
  auto adopt = cache.begin_step();
  adopt.adopt(trunk, best);
  pass(cache, adopt);
  std::printf("adopted %s: the trunk sees %d tokens and goes on at position %d\n", text.c_str(), cache.n_tokens(trunk),
              cache.next_position(trunk));
  return example::output_arrived() ? 0 : 1;
}
