// A markup of one's own in under 60 lines: tags like those of Multiverse.
//
//   <Outline>a</Outline><Outline>b</Outline><Parallel> <Path>a: ...</Path> <Path>b: ...</Path> <Conclusion>
//
// Nothing is inherited and nothing registered: a State, and a function for each thing that can happen to a branch.
#pragma once

#include <utility>
#include <vector>

#include <anabranch/markup/markup.hpp>

struct MultiverseTags {
  anabranch::TokenId outline, outline_end, parallel, path, path_end, conclusion;
};

class Multiverse {
  using TokenId = anabranch::TokenId;
  using Action = anabranch::markup::Action;
  using Forced = anabranch::markup::Forced;
  using Role = anabranch::markup::Role;

 public:
  struct State {
    bool in_outline = false;
    std::vector<std::vector<TokenId>> outlines;  // since the last block
  };
  explicit Multiverse(MultiverseTags tags) : tags_(tags) {}

  State start() const { return {}; }
  State child(const State&, int) const { return {}; }
  Action next(State& s, TokenId token) const {
    if (token == tags_.path_end) return Action::end_branch();
    if (token == tags_.parallel) return Action::fork(seeds(std::exchange(s.outlines, {})));
    if (token == tags_.outline) s.outlines.emplace_back();
    if (token == tags_.outline || token == tags_.outline_end) {
      s.in_outline = token == tags_.outline;
      return Action::go_on(Role::tag);
    }
    if (s.in_outline) s.outlines.back().push_back(token);
    return Action::go_on(s.in_outline ? Role::title : Role::text);
  }
  Action joined(State&) const { return Action::force({{tags_.conclusion, Role::tag}}); }
  Forced closing(const State&) const { return {{tags_.path_end, Role::tag}}; }

 private:
  std::vector<anabranch::markup::Seed> seeds(std::vector<std::vector<TokenId>> outlines) const {
    std::vector<anabranch::markup::Seed> seeds;
    for (auto& outline : outlines) {
      seeds.push_back({{{tags_.path, Role::tag}}, outline});
      push(seeds.back().prefix, outline, Role::text);
    }
    return seeds;
  }
  MultiverseTags tags_;
};
static_assert(anabranch::Markup<Multiverse>);
