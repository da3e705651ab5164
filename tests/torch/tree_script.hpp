// A tree of sequences written down once and replayed in two ways: as it stands, many sequences in one pass, or one
// token per pass. Beside the cache it keeps its own naive books of who sees what, from which the oracle gets its dense
// mask.
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/eigen/oracle.hpp>

namespace anabranch::test {

/// One operation. Sequences are numbered in the order of their making.
struct TreeOp {
  enum class Kind : std::uint8_t { create, append, fork, join, drop, adopt, rewind, pass };
  Kind kind = Kind::pass;
  int sequence = -1;
  std::vector<int> children = {};
  std::vector<TokenId> tokens = {};
  Positions positions = {};
  std::vector<Position> starts = {};  ///< for Positions::given
  Position next = kNone;              ///< for a join of Positions::given
  std::int32_t n_tokens = 0;          ///< for rewind
};

class TreeScript {
 public:
  int create() {
    ops_.push_back({.kind = TreeOp::Kind::create, .sequence = n_sequences_});
    return n_sequences_++;
  }
  void append(int sequence, std::vector<TokenId> tokens) {
    ops_.push_back({.kind = TreeOp::Kind::append, .sequence = sequence, .tokens = std::move(tokens)});
  }
  std::vector<int> fork(int parent, int n, Positions positions, std::vector<Position> starts = {}) {
    TreeOp op{.kind = TreeOp::Kind::fork, .sequence = parent, .positions = positions, .starts = std::move(starts)};
    for (int k = 0; k < n; ++k) op.children.push_back(n_sequences_++);
    ops_.push_back(op);
    return op.children;
  }
  void join(int parent, std::vector<int> children, Position next = kNone) {
    ops_.push_back({.kind = TreeOp::Kind::join, .sequence = parent, .children = std::move(children), .next = next});
  }
  void drop(int sequence) { ops_.push_back({.kind = TreeOp::Kind::drop, .sequence = sequence}); }
  void adopt(int parent, int child) {
    ops_.push_back({.kind = TreeOp::Kind::adopt, .sequence = parent, .children = {child}});
  }
  void rewind(int sequence, std::int32_t n_tokens) {
    ops_.push_back({.kind = TreeOp::Kind::rewind, .sequence = sequence, .n_tokens = n_tokens});
  }
  /// Everything since the last pass runs in one pass.
  void pass() { ops_.push_back({}); }

  std::span<const TreeOp> ops() const noexcept { return ops_; }
  int n_sequences() const noexcept { return n_sequences_; }

 private:
  std::vector<TreeOp> ops_;
  int n_sequences_ = 0;
};

/// A token that was fed, by number in the script's order.
struct FedToken {
  TokenId token = 0;
  Position position = kNone;
  std::vector<std::size_t> sees;  ///< numbers of the tokens it sees, itself last
};

enum class Schedule : std::uint8_t {
  together,  ///< passes as the script says
  alone,     ///< every token in a pass of its own
};

using Host = std::function<LogitsView(const StepPlan&)>;

/// Replays a script on a cache of its own through one or more hosts.
class TreeReplay {
 public:
  TreeReplay(const TreeScript& script, Schedule schedule, std::vector<Host> hosts, CacheOptions options)
      : schedule_(schedule), hosts_(std::move(hosts)), cache_(options) {
    logits_.resize(hosts_.size());
    ids_.resize(static_cast<std::size_t>(script.n_sequences()));
    content_.resize(ids_.size());
    forked_at_.resize(ids_.size());
    for (const TreeOp& op : script.ops()) run(op);
    finish_pass();
  }

  const std::vector<FedToken>& tokens() const noexcept { return tokens_; }
  /// Logits of token i from host h.
  const std::vector<float>& logits(std::size_t host, std::size_t token) const { return logits_[host].at(token); }
  int n_passes() const noexcept { return n_passes_; }
  KvCache& cache() noexcept { return cache_; }

 private:
  SequenceId id(int sequence) const { return ids_[static_cast<std::size_t>(sequence)]; }
  std::vector<std::size_t>& content(int sequence) { return content_[static_cast<std::size_t>(sequence)]; }

  Step& step() {
    if (!step_) step_.emplace(cache_.begin_step());
    return *step_;
  }

  void run(const TreeOp& op) {
    switch (op.kind) {
      case TreeOp::Kind::create: ids_[static_cast<std::size_t>(op.sequence)] = step().create_sequence(); return;
      case TreeOp::Kind::append: return append(op);
      case TreeOp::Kind::fork: return fork(op);
      case TreeOp::Kind::join: return join(op);
      case TreeOp::Kind::drop: return step().drop(id(op.sequence));
      case TreeOp::Kind::adopt:
        step().adopt(id(op.sequence), id(op.children.front()));
        content(op.sequence) = content(op.children.front());
        return;
      case TreeOp::Kind::rewind:
        step().rewind(id(op.sequence), op.n_tokens);
        content(op.sequence).resize(static_cast<std::size_t>(op.n_tokens));
        return;
      case TreeOp::Kind::pass:
        if (schedule_ == Schedule::together) finish_pass();
        return;
    }
  }

  void append(const TreeOp& op) {
    for (const TokenId token : op.tokens) {
      content(op.sequence).push_back(tokens_.size());
      fed_[id(op.sequence)].push_back(tokens_.size());
      tokens_.push_back({token, kNone, content(op.sequence)});
      if (schedule_ == Schedule::alone) {
        step().append(id(op.sequence), {token}, Logits::all);
        finish_pass();
      }
    }
    if (schedule_ == Schedule::together) step().append(id(op.sequence), op.tokens, Logits::all);
  }

  void fork(const TreeOp& op) {
    const std::vector<SequenceId> made = step().fork(id(op.sequence), static_cast<std::int32_t>(op.children.size()),
                                                     {.positions = op.positions, .starts = op.starts});
    for (std::size_t k = 0; k < made.size(); ++k) {
      const auto child = static_cast<std::size_t>(op.children[k]);
      ids_[child] = made[k];
      content_[child] = content(op.sequence);
      forked_at_[child] = content_[child].size();
    }
  }

  void join(const TreeOp& op) {
    std::vector<SequenceId> children;
    for (const int child : op.children) {
      children.push_back(id(child));
      const std::vector<std::size_t>& from = content(child);
      const auto own = from.begin() + static_cast<std::ptrdiff_t>(forked_at_[static_cast<std::size_t>(child)]);
      content(op.sequence).insert(content(op.sequence).end(), own, from.end());
    }
    step().join(id(op.sequence), children, {.next = op.next});
  }

  void finish_pass() {
    const PlanResult plan = step().plan();
    if (!plan) fail(Status::no_room, "the test's cache is too small");
    std::vector<std::size_t> number;  // token of each row
    std::map<SequenceId, std::size_t> next;
    for (std::size_t r = 0; r < plan->tokens.size(); ++r) {
      number.push_back(fed_.at(plan->sequences[r]).at(next[plan->sequences[r]]++));
      tokens_[number.back()].position = plan->positions[r];
    }
    for (std::size_t h = 0; h < hosts_.size(); ++h) {
      const LogitsView view = hosts_[h](*plan);
      for (std::size_t k = 0; k < plan->outputs.size(); ++k) {
        const std::span<const float> row = view.row(static_cast<std::int32_t>(k));
        logits_[h][number[static_cast<std::size_t>(plan->outputs[k].row)]].assign(row.begin(), row.end());
      }
    }
    step_->commit();
    step_.reset();
    fed_.clear();
    ++n_passes_;
  }

  Schedule schedule_;
  std::vector<Host> hosts_;
  KvCache cache_;
  std::optional<Step> step_;
  std::vector<SequenceId> ids_;
  std::vector<std::vector<std::size_t>> content_;  ///< per sequence: what it sees
  std::vector<std::size_t> forked_at_;
  std::vector<FedToken> tokens_;
  std::map<SequenceId, std::vector<std::size_t>> fed_;             ///< tokens of the open step, per sequence
  std::vector<std::map<std::size_t, std::vector<float>>> logits_;  ///< per host, per token
  int n_passes_ = 0;
};

/// Logits of all tokens from the dense oracle, which knows the naive books only.
inline eigen::Matrix oracle_logits(const eigen::Oracle& oracle, const std::vector<FedToken>& fed) {
  const auto n = static_cast<Eigen::Index>(fed.size());
  std::vector<TokenId> tokens = {};
  std::vector<Position> positions;
  eigen::Mask mask = eigen::Mask::Constant(n, n, false);
  for (std::size_t q = 0; q < fed.size(); ++q) {
    tokens.push_back(fed[q].token);
    positions.push_back(fed[q].position);
    for (const std::size_t k : fed[q].sees) mask(static_cast<Eigen::Index>(q), static_cast<Eigen::Index>(k)) = true;
  }
  return oracle.logits(tokens, positions, mask);
}

/// The largest difference of a token's logits from the oracle's row; 1 where there are none, NaN counts.
inline double difference(const std::vector<float>& got, const eigen::Matrix& expected, std::size_t row) {
  double largest = got.empty() ? 1.0 : 0.0;
  for (std::size_t t = 0; t < got.size(); ++t) {
    const double off = std::abs(got[t] - expected(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(t)));
    if (!(off <= largest)) largest = off;
  }
  return largest;
}

}  // namespace anabranch::test
