// ReadingOrder: turns the events of a request, whose branches write at the same time, into the order of reading.
//
// A client that shows an answer as it comes can only append. So the text of a branch is held back until all that stands
// before it is there.
#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>

namespace serve {

class ReadingOrder {
 public:
  ReadingOrder() { path_.push_back({anabranch::kTrunk, anabranch::kTrunk + 1}); }

  /// Takes the next event of the request and calls show(const Event&) for each event whose turn has come, once each.
  /// Behind the end of the request nothing is held back.
  template <class Show>
  void add(anabranch::Event event, Show&& show) {
    using Kind = anabranch::Event::Kind;
    if (event.kind == Kind::end) is_over_ = true;
    if (event.kind == Kind::branch_end) branches_[event.branch].is_over = true;
    Written& branch = branches_[event.branch];
    const bool has_block = event.kind == Kind::fork && !event.titles.empty();
    const Item block{{}, event.first_branch, static_cast<anabranch::BranchIndex>(event.titles.size())};
    branch.items.push_back({std::move(event)});
    if (has_block) branch.items.push_back(block);
    show_those_next(show);
  }

 private:
  /// An event, or where a block of branches stands.
  struct Item {
    anabranch::Event event;
    anabranch::BranchIndex first_branch = anabranch::kNone;
    anabranch::BranchIndex n_branches = 0;
  };
  struct Written {
    std::vector<Item> items;
    std::size_t n_shown = 0;
    bool is_over = false;
  };
  /// A branch that is being read, and the end of its block.
  struct Place {
    anabranch::BranchIndex branch;
    anabranch::BranchIndex end;
  };

  template <class Show>
  void show_those_next(Show& show) {
    while (!path_.empty()) {
      const Place place = path_.back();
      Written& branch = branches_[place.branch];
      if (branch.n_shown < branch.items.size()) {
        const Item item = std::move(branch.items[branch.n_shown++]);
        if (item.n_branches > 0)
          path_.push_back({item.first_branch, item.first_branch + item.n_branches});
        else
          show(item.event);
        continue;
      }
      if (!is_over_ && (place.branch == anabranch::kTrunk || !branch.is_over)) return;
      branches_.erase(place.branch);
      path_.pop_back();
      if (place.branch + 1 < place.end) path_.push_back({place.branch + 1, place.end});
    }
  }

  std::map<anabranch::BranchIndex, Written> branches_;  // those that are not wholly shown
  std::vector<Place> path_;                             // from the trunk to the branch whose text comes next
  bool is_over_ = false;
};

}  // namespace serve
