// RandomWorld: does the cache say what the naive model knows?
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "plan_reading.hpp"
#include "random_world.hpp"

namespace anabranch::test {

namespace {

/// A row whose token nobody knows: unknown at plan time, and no sequence sees it any more.
constexpr std::uint64_t kSomeToken = ~std::uint64_t{0};

std::string compare(const std::string& what, std::int64_t found, std::int64_t expected) {
  return what + " is " + std::to_string(found) + ", expected " + std::to_string(expected);
}

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) text += (text.size() > 1 ? " " : "") + std::to_string(value);
  return text + "]";
}

}  // namespace

/// Numbers and links of every sequence, as the open step has made them.
void RandomWorld::check_sequences() {
  require(cache_->n_sequences() == static_cast<std::int32_t>(now_.sequences.size()),
          compare("number of sequences", cache_->n_sequences(), static_cast<std::int64_t>(now_.sequences.size())));
  const std::vector<SequenceId> listed = cache_->sequences();
  require(std::set<SequenceId>(listed.begin(), listed.end()).size() == now_.sequences.size(),
          "sequences are " + names(listed));
  std::size_t n_roots = 0;
  for (const auto& [id, sequence] : now_.sequences) {
    n_roots += sequence.parent == kNoSequence ? 1 : 0;
    require(std::count(listed.begin(), listed.end(), id) == 1, name(id) + " is no sequence of " + names(listed));
    require(cache_->alive(id), name(id) + " should be alive");
    require(cache_->n_tokens(id) == sequence.n_tokens(),
            compare("n_tokens of " + name(id), cache_->n_tokens(id), sequence.n_tokens()));
    require(cache_->next_position(id) == sequence.next,
            compare("next of " + name(id), cache_->next_position(id), sequence.next));
    require(cache_->parent(id) == sequence.parent, "parent of " + name(id) + " is " + name(cache_->parent(id)));
    require(cache_->position_limit(id) == sequence.limit,
            compare("position limit of " + name(id), cache_->position_limit(id), sequence.limit));
    require(
        cache_->children(id) == sequence.children,
        "children of " + name(id) + " are " + names(cache_->children(id)) + ", expected " + names(sequence.children));
    const std::int32_t fork_tokens = sequence.parent == kNoSequence ? 0 : sequence.fork_tokens;
    require(cache_->fork_tokens(id) == fork_tokens,
            compare("fork_tokens of " + name(id), cache_->fork_tokens(id), fork_tokens));
  }
  require(cache_->roots().size() == n_roots, "roots are " + names(cache_->roots()));
  for (std::size_t i = stale_.size() > 8 ? stale_.size() - 8 : 0; i < stale_.size(); ++i)
    require(!cache_->alive(stale_[i]), name(stale_[i]) + " should be stale");
}

/// What every committed sequence holds, through its slots.
void RandomWorld::check_contents() {
  in_use_.clear();
  for (const auto& [id, sequence] : committed_.sequences) {
    const std::vector<Slot> slots = cache_->slots_of(id);
    std::vector<Position> positions;
    std::vector<std::uint64_t> expected, found;
    std::vector<TokenId> tokens;
    for (const NaiveToken& token : sequence.tokens()) {
      expected.push_back(token.id);
      tokens.push_back(unknown_.count(token.id) == 0 ? static_cast<TokenId>(token.id) : kUnknownToken);
      positions.push_back(token.position);
    }
    for (const Slot slot : slots) found.push_back(stored_.at(static_cast<std::size_t>(slot)));
    require(found == expected, name(id) + " holds " + list_text(found) + ", expected " + list_text(expected));
    require(cache_->positions_of(id) == positions,
            name(id) + " has positions " + list_text(cache_->positions_of(id)) + ", expected " + list_text(positions));
    require(cache_->tokens_of(id) == tokens,
            name(id) + " has tokens " + list_text(cache_->tokens_of(id)) + ", expected " + list_text(tokens));
    in_use_.insert(slots.begin(), slots.end());
  }
  for (const std::string& violated : cache_->snapshot().check()) throw Difference("check: " + violated);
  std::set<std::int32_t> pages;
  for (const Slot slot : in_use_) pages.insert(slot / options_.page_size);
  require(cache_->n_free_pages() + static_cast<std::int32_t>(pages.size()) <= cache_->n_pages(),
          "pages in use are not free");
}

void RandomWorld::check_shortage(const Shortage& shortage) {
  std::int32_t most = most_pages_;
  for (const auto& [id, sequence] : now_.sequences)
    most += sequence.hold > 0 ? sequence.hold / options_.page_size + 2 : 0;
  require(shortage.n_pages > 0, "a shortage is of at least one page");
  require(shortage.n_free == cache_->n_free_pages(),
          compare("n_free of the shortage", shortage.n_free, cache_->n_free_pages()));
  require(shortage.n_free == free_before_, "a shortage takes no page");
  require(shortage.n_pages + shortage.n_free <= most,
          compare("pages wanted", shortage.n_pages + shortage.n_free, most) + " at most");
}

void RandomWorld::check_plan(const StepPlan& plan) {
  const auto n = static_cast<std::size_t>(plan.n_rows());
  require(plan.positions.size() == n && plan.slots.size() == n && plan.sequences.size() == n,
          "row arrays have one length");
  require(plan.n_slots == cache_->n_slots() && plan.page_size == cache_->page_size(), "the plan names the pool's size");
  require(plan.epoch == cache_->epoch(), "the plan names the cache's epoch");
  check_rows(plan);
  check_groups(plan);
  for (RowIndex row = 0; row < plan.n_rows(); ++row) check_visibility(plan, row);
  check_intervals(plan);
  check_outputs(plan);
}

/// Finds out which token each row is, from the slots of the sequences that see it, and what the plan itself says.
void RandomWorld::check_rows(const StepPlan& plan) {
  std::map<Slot, std::uint64_t> token_at;
  for (const auto& [id, sequence] : now_.sequences) {
    const std::vector<Slot> slots = cache_->slots_of(id);
    const std::vector<NaiveToken> tokens = sequence.tokens();
    require(slots.size() == tokens.size(), compare("slots of " + name(id), static_cast<std::int64_t>(slots.size()),
                                                   static_cast<std::int64_t>(tokens.size())));
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto [at, fresh] = token_at.emplace(slots[i], tokens[i].id);
      require(fresh || at->second == tokens[i].id, "slot " + std::to_string(slots[i]) + " stands for two tokens");
    }
  }
  token_of_row_.clear();
  overlay_ = stored_;
  std::set<Slot> written;
  std::set<std::uint64_t> planned;
  for (RowIndex row = 0; row < plan.n_rows(); ++row) {
    const auto r = static_cast<std::size_t>(row);
    const Slot slot = plan.slots[r];
    const std::string text = "row " + std::to_string(row) + " (slot " + std::to_string(slot) + ")";
    require(slot >= 0 && slot < plan.n_slots, text + " is outside the pool");
    require(written.insert(slot).second, text + ": two rows write it");
    require(in_use_.count(slot) == 0, text + ": a committed sequence sees it");
    const auto seen = token_at.find(slot);
    std::uint64_t token = plan.tokens[r] == kUnknownToken ? kSomeToken : static_cast<std::uint64_t>(plan.tokens[r]);
    if (seen != token_at.end()) token = seen->second;
    overlay_[static_cast<std::size_t>(slot)] = token;
    if (token == kSomeToken) continue;  // unknown, and seen by no sequence
    const auto pending = pending_.find(token);
    require(pending != pending_.end(),
            text + " is token " + std::to_string(token) + ", which was not appended in this step");
    require(planned.insert(token).second, text + ": token " + std::to_string(token) + " has two rows");
    const TokenId named = pending->second.known ? static_cast<TokenId>(token) : kUnknownToken;
    require(plan.tokens[r] == named, compare(text + " token", plan.tokens[r], named));
    require(plan.positions[r] == pending->second.position,
            compare(text + " position", plan.positions[r], pending->second.position));
    require(stands_for(plan.sequences[r], pending->second.sequence),
            text + " sequence is " + name(plan.sequences[r]) + ", expected " + name(pending->second.sequence));
    token_of_row_[row] = token;
  }
  for (const auto& [slot, token] : token_at)
    require(pending_.count(token) == 0 || planned.count(token) == 1,
            "token " + std::to_string(token) + " is seen by a sequence but is no row");
}

void RandomWorld::check_visibility(const StepPlan& plan, RowIndex row) {
  const auto token = token_of_row_.find(row);
  if (token == token_of_row_.end()) return;
  std::vector<std::uint64_t> found;
  for (const Slot slot : visible_slots(plan, row)) found.push_back(overlay_.at(static_cast<std::size_t>(slot)));
  const std::vector<std::uint64_t>& expected = pending_.at(token->second).context;
  const bool same = std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                               [](std::uint64_t f, std::uint64_t e) { return f == e || f == kSomeToken; });
  require(same, "row " + std::to_string(row) + " sees " + list_text(found) + ", expected " + list_text(expected));
}

void RandomWorld::check_groups(const StepPlan& plan) {
  for (const VisibilityGroup& group : plan.groups) {
    require(0 <= group.row_begin && group.row_begin < group.row_end && group.row_end <= plan.n_rows(),
            "a group's rows are legal");
    require(0 <= group.view_begin && group.view_begin < group.view_end &&
                group.view_end <= static_cast<std::int32_t>(plan.views.size()),
            "a group's views are legal");
    std::int32_t n_keys = 0;
    for (const View& view : plan.views_of(group)) {
      require(0 <= view.begin && view.begin < view.end && view.n_runs > 0, "a view is legal");
      const SlotRun& first = view.runs[0];
      const SlotRun& last = view.runs[view.n_runs - 1];
      require(first.offset <= view.begin && view.begin < first.offset + first.count,
              "a view's first run holds its begin");
      require(last.offset < view.end && view.end <= last.offset + last.count, "a view's last run holds its end");
      n_keys += view.end - view.begin;
    }
    std::int32_t n_slots = 0;
    for_each_run(group, plan.views, [&](Slot, std::int32_t count) { n_slots += count; });
    require(n_keys == group.n_keys && n_slots == n_keys, compare("keys of a group", n_slots, group.n_keys));
    if (group.visibility == Visibility::full) continue;
    std::vector<Slot> keys;
    for_each_run(group, plan.views, [&](Slot slot, std::int32_t count) {
      while (count-- > 0) keys.push_back(slot++);
    });
    const auto n_rows = static_cast<std::size_t>(group.row_end - group.row_begin);
    require(keys.size() >= n_rows && std::equal(keys.end() - static_cast<std::ptrdiff_t>(n_rows), keys.end(),
                                                plan.slots.begin() + group.row_begin),
            "the last keys of a causal group are its rows");
  }
}

/// A segment is seen by at most depth + 1 intervals of rows.
void RandomWorld::check_intervals(const StepPlan& plan) {
  std::map<std::uint64_t, std::set<RowIndex>> rows;
  std::map<std::uint64_t, Slot> a_slot;
  for (const VisibilityGroup& group : plan.groups)
    for (const View& view : plan.views_of(group)) {
      for (RowIndex row = group.row_begin; row < group.row_end; ++row) rows[view.segment].insert(row);
      a_slot[view.segment] = view.runs[0].first;
    }
  std::map<std::uint64_t, std::int32_t> depth_of;
  for (const auto& [id, sequence] : now_.sequences)
    for (const NaiveToken& token : sequence.tokens()) depth_of[token.id] = token.depth;
  for (const auto& [segment, seen_by] : rows) {
    std::int32_t intervals = 0;
    RowIndex before = -2;
    for (const RowIndex row : seen_by) {
      intervals += row != before + 1 ? 1 : 0;
      before = row;
    }
    const auto depth = depth_of.find(overlay_.at(static_cast<std::size_t>(a_slot[segment])));
    if (depth == depth_of.end()) continue;
    require(intervals <= depth->second + 1,
            compare("intervals of rows that see a segment", intervals, depth->second + 1) + " at most");
  }
}

/// A plan may name the sequence that has adopted the one meant.
bool RandomWorld::stands_for(SequenceId named, SequenceId sequence) const {
  for (auto adopter = adopted_by_.find(sequence); named != sequence && adopter != adopted_by_.end();
       adopter = adopted_by_.find(sequence))
    sequence = adopter->second;
  return named == sequence;
}

/// Outputs come in the order of rows, are asked for, not repeated, and complete for tokens that some sequence still
/// sees.
void RandomWorld::check_outputs(const StepPlan& plan) {
  std::set<std::uint64_t> seen;
  for (const auto& [id, sequence] : now_.sequences)
    for (const NaiveToken& token : sequence.tokens()) seen.insert(token.id);
  std::set<std::pair<RowIndex, SequenceId>> found;
  RowIndex before = 0;
  for (const Output& output : plan.outputs) {
    const std::string text = "output of row " + std::to_string(output.row) + " for " + name(output.sequence);
    require(output.row >= before && output.row < plan.n_rows(), text + " is out of order");
    require(found.emplace(output.row, output.sequence).second, text + " is there twice");
    before = output.row;
    const auto token = token_of_row_.find(output.row);
    if (token == token_of_row_.end()) continue;
    require(std::any_of(
                wanted_.begin(), wanted_.end(),
                [&](const Wanted& w) { return w.token == token->second && stands_for(output.sequence, w.sequence); }),
            text + " was not asked for");
  }
  for (const Wanted& wanted : wanted_) {
    if (seen.count(wanted.token) == 0 || (!wanted.with_append && now_.sequences.count(wanted.sequence) == 0)) continue;
    require(std::any_of(plan.outputs.begin(), plan.outputs.end(),
                        [&](const Output& o) {
                          const auto token = token_of_row_.find(o.row);
                          return token != token_of_row_.end() && token->second == wanted.token &&
                                 stands_for(o.sequence, wanted.sequence);
                        }),
            "token " + std::to_string(wanted.token) + " of " + name(wanted.sequence) + " has no output");
  }
}

}  // namespace anabranch::test
