// What the decoder knows of a request: its sequences ("branches"), and what is still to be done to each in the cache.
//
// A decision (a token was sampled, a block forks, a branch is closed) is taken once, at commit, and recorded as
// operations on branches. Putting them into a step is a pure reading of that record, so a step may be aborted and
// staged again at will, and nothing that was sampled is lost. Whatever may fail while a decision is taken works on a
// copy of the request (request_transaction.hpp), which shares the branches that it does not change.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/seen_tokens.hpp>
#include <anabranch/decode/random.hpp>
#include <anabranch/decode/text_stream.hpp>
#include <anabranch/error.hpp>

namespace anabranch::impl {

/// One thing to do to a sequence in the cache.
struct Operation {
  enum class Kind : std::uint8_t { feed, rewind, fork, join };
  Kind kind = Kind::feed;
  std::vector<TokenId> tokens;  ///< of feed
  std::int32_t count = 0;       ///< tokens to take back; block to fork or join
};

/// Branches forked together: branches [first, first + n).
struct Block {
  std::int32_t first = 0;
  std::int32_t n = 0;
  std::int32_t n_open = 0;  ///< have not ended yet
};

/// A stretch of a sequence's text, and the block that follows it, if any.
struct TextPart {
  std::string text;
  std::int32_t block = kNone;
};

enum class Phase : std::uint8_t {
  queued,   ///< waits for a place among the branches that are decoded at once; neither rows nor pages until then
  running,  ///< the next pass yields its next token
  waiting,  ///< for the branches of its block
  ended,    ///< samples no more
};

/// A token that may come next, and the state after it.
template <class State>
struct Draft {
  TokenId token;
  State after;
};

template <class State>
struct BranchState {
  explicit BranchState(State s) : state(std::move(s)) {}

  BranchIndex index = kTrunk;
  BranchIndex parent = kNone;
  std::vector<PathStep> path;
  SequenceId sequence = kNoSequence;
  State state;
  Phase phase = Phase::running;
  EndReason reason = EndReason::none;

  std::vector<Operation> operations;  ///< to be done, in order
  std::int32_t n_staged = 0;          ///< of them, in the open step
  std::int32_t n_staged_tokens = 0;   ///< of the prompt, when only a chunk of it is in the open step
  std::int32_t block = kNone;         ///< block that it waits for
  std::int32_t forked_block = kNone;  ///< block that is forked in the cache and not yet joined
  std::int32_t n_blocks = 0;          ///< forks so far

  Position start = 0;                ///< of a branch: its first position
  WidePosition limit = 0;            ///< first position refused
  std::int32_t n_closing = 0;        ///< slots and positions kept for what ends the branch
  std::int32_t n_rejoining = 0;      ///< positions kept for what is forced after the join
  std::int32_t n_granted = 0;        ///< 1: the next pass may sample a token
  std::vector<Draft<State>> drafts;  ///< that token, perhaps, and those after it: they may be fed in the same pass

  StreamKey stream{};
  std::int64_t n_sampled = 0;
  SeenTokens seen;              ///< the answer's tokens that the sequence sees
  std::size_t n_inherited = 0;  ///< of them, seen at the fork
  std::size_t n_settled = 0;    ///< of them, out of reach for `forget`: inherited or joined

  std::string title;
  TextStream text;
  std::vector<TextPart> parts;
};

/// A request and all its branches. Copies share a branch until one of them edits it. References to branches stay valid
/// while branches are added; one from `branch` is not to be held across an `edit` of the same branch.
template <class State>
struct Request {
  RequestId id = kNoRequest;
  std::shared_ptr<const RequestOptions> options;  ///< with every limit filled in
  std::vector<std::shared_ptr<BranchState<State>>> branches;
  std::vector<Block> blocks;
  std::int32_t n_granted = 0;  ///< tokens that the next pass may sample
  bool prefilling = true;      ///< part of the prompt has not been fed by a committed pass
  TokenId last_prompt_token = kUnknownToken;
  bool active = true;
  bool history_kept = true;  ///< its sequences are in the cache, or can be made
  bool released = false;
  bool in_pass = false;  ///< has rows in the planned pass
  bool prefill_in_pass = false;
  EndReason reason = EndReason::none;
  Statistics statistics;

  const BranchState<State>& trunk() const { return *branches.front(); }
  const BranchState<State>& branch(BranchIndex i) const { return *branches[static_cast<std::size_t>(i)]; }
  /// The branch to be changed, copied first when another request has it too. Without one it never fails.
  BranchState<State>& edit(BranchIndex i) {
    std::shared_ptr<BranchState<State>>& t = branches[static_cast<std::size_t>(i)];
    if (t.use_count() > 1) t = std::make_shared<BranchState<State>>(*t);
    return *t;
  }
  /// Its sequences belong to another request now.
  void release_sequences() noexcept {
    history_kept = false;
    for (const auto& t : branches) t->sequence = kNoSequence;
  }
  Block& block(std::int32_t i) { return blocks[static_cast<std::size_t>(i)]; }
  const Block& block(std::int32_t i) const { return blocks[static_cast<std::size_t>(i)]; }
};

/// Does `a` come before `b` in reading order? A sequence comes before its branches.
template <class State>
bool reads_before(const BranchState<State>& a, const BranchState<State>& b) {
  return std::lexicographical_compare(a.path.begin(), a.path.end(), b.path.begin(), b.path.end(),
                                      [](const PathStep& x, const PathStep& y) {
                                        return x.block != y.block ? x.block < y.block : x.branch < y.branch;
                                      });
}

/// Adds tokens to be fed; neighbours share an operation.
template <class State>
void feed(BranchState<State>& branch, TokenId token) {
  if (branch.operations.empty() || branch.operations.back().kind != Operation::Kind::feed)
    branch.operations.push_back({Operation::Kind::feed, {}, 0});
  branch.operations.back().tokens.push_back(token);
}

/// Text of a branch and, in reading order, of the blocks inside it.
template <class State>
void append_text(const Request<State>& request, BranchIndex index, std::string& out) {
  for (const TextPart& part : request.branch(index).parts) {
    out += part.text;
    if (part.block == kNone) continue;
    const Block& block = request.block(part.block);
    for (std::int32_t k = 0; k < block.n; ++k) append_text(request, block.first + k, out);
  }
}

/// Adds printable text to a branch's record.
template <class State>
const std::string& keep_text(BranchState<State>& branch, const std::string& text) {
  if (branch.parts.empty() || branch.parts.back().block != kNone) branch.parts.emplace_back();
  branch.parts.back().text += text;
  return text;
}

}  // namespace anabranch::impl
