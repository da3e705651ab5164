// Reading order: what a branch wrote, with the blocks inside it where they stand.
//
// A branch keeps what it wrote itself, and marks where its blocks stand. So a fork copies nothing of what was written
// before it, and a join nothing of what the branches wrote. Only where the tokens that a branch has seen are looked at
// does a join add those of its branches to their parent's, in one piece.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <anabranch/decode/branch.hpp>
#include <anabranch/decode/impl/request_state.hpp>

namespace anabranch::impl {

/// Part of what one branch wrote without a block in between: its own tokens [n_tokens_before, n_tokens), and its own
/// text and scores likewise.
struct Stretch {
  std::span<const TokenId> tokens;
  std::span<const char> text;
  std::span<const TokenScore> scores;
  std::span<const TokenLogProbability> likeliest;  ///< of all the branch's tokens
  std::size_t first_likeliest = 0;                 ///< where those of the stretch begin
};

/// REQUIRES: k <= the number of the branch's blocks.
template <class State>
Stretch stretch(const BranchState<State>& branch, std::size_t k) noexcept {
  const BlockMark from = k == 0 ? BlockMark{} : branch.blocks[k - 1];
  const std::size_t n_tokens = k < branch.blocks.size() ? branch.blocks[k].n_tokens : branch.tokens.size();
  const std::size_t n_bytes = k < branch.blocks.size() ? branch.blocks[k].n_bytes : branch.text.size();
  Stretch result;
  result.tokens = branch.tokens.all().subspan(from.n_tokens, n_tokens - from.n_tokens);
  result.text = branch.text.all().subspan(from.n_bytes, n_bytes - from.n_bytes);
  if (branch.scores.empty()) return result;
  result.scores = branch.scores.all().subspan(from.n_tokens, n_tokens - from.n_tokens);
  result.likeliest = branch.likeliest.all();
  if (from.n_tokens > 0) result.first_likeliest = branch.scores[from.n_tokens - 1].likeliest_end;
  return result;
}

/// Calls visit(Stretch) for all that a branch wrote, the blocks inside it included. Without recursion, however deep
/// they are nested.
template <class State, class Visit>
void for_each_stretch(const RequestState<State>& request, BranchIndex top, Visit&& visit) {
  struct Place {
    BranchIndex branch;
    std::size_t stretch;
  };
  std::vector<Place> places = {{top, 0}};
  while (!places.empty()) {
    const Place place = places.back();
    const BranchState<State>& branch = request.branch(place.branch);
    visit(stretch(branch, place.stretch));
    if (place.stretch < branch.blocks.size()) {
      ++places.back().stretch;
      places.push_back({request.block(branch.blocks[place.stretch].block).first, 0});
      continue;
    }
    places.pop_back();
    if (!places.empty() && place.branch + 1 < request.block(branch.own_block).end())
      places.push_back({place.branch + 1, 0});
  }
}

/// Appends to `out` the text, the tokens and the log-probabilities of a branch.
template <class State>
void append_written(const RequestState<State>& request, BranchIndex index, Branch& out) {
  for_each_stretch(request, index, [&](const Stretch& s) {
    out.text.append(s.text.begin(), s.text.end());
    out.tokens.insert(out.tokens.end(), s.tokens.begin(), s.tokens.end());
    std::size_t begin = s.first_likeliest;
    for (const TokenScore& score : s.scores) {
      const auto top = s.likeliest.subspan(begin, score.likeliest_end - begin);
      out.log_probabilities.push_back(score.log_probability);
      out.likeliest.emplace_back(top.begin(), top.end());
      begin = score.likeliest_end;
    }
  });
}

/// Appends the answer's tokens that a branch sees. O(those). REQUIRES: the request keeps them.
template <class State>
void append_seen(const RequestState<State>& request, BranchIndex index, std::vector<TokenId>& tokens) {
  std::vector<BranchIndex> path;
  for (BranchIndex i = index; i != kNone; i = request.branch(i).parent) path.push_back(i);
  for (std::size_t k = path.size(); k-- > 0;) {
    std::span<const TokenId> seen = request.branch(path[k]).seen.all();
    if (k > 0) seen = seen.first(request.branch(path[k - 1]).n_seen_above);
    tokens.insert(tokens.end(), seen.begin(), seen.end());
  }
}

}  // namespace anabranch::impl
