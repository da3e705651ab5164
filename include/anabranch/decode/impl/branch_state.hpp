// BranchState: the decoder's record of one branch (or of the trunk), and of the operations that its sequence in the
// cache still has to go through.
//
// A decision (a token was sampled, a block forks, a branch ends) is taken once, at commit, and recorded as operations.
// StepBuilder only reads them, so a step may be aborted and built again, and nothing that was sampled is lost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/draft/draft_source.hpp>
#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/shared_array.hpp>
#include <anabranch/decode/random.hpp>
#include <anabranch/decode/text_stream.hpp>
#include <anabranch/pool/index.hpp>

namespace anabranch::impl {

/// Names a block inside its request, in the order of the forks.
using BlockIndex = Index<struct Block>;

/// A change to a branch's sequence in the cache that has not been committed.
struct Operation {
  enum class Kind : std::uint8_t { feed, rewind, fork, join, pause };
  explicit Operation(Kind k, std::int32_t n = 0) : kind(k), count(n) {}
  Operation(Kind k, BlockIndex b) : kind(k), block(b) {}
  /// Tokens that are still to be fed.
  std::span<const TokenId> to_feed() const noexcept { return tokens.all().subspan(n_fed); }

  Kind kind = Kind::feed;
  SharedArray<TokenId> tokens;  ///< of feed
  std::size_t n_fed = 0;        ///< of them, a prompt's first ones, in the cache already
  std::int32_t count = 0;    ///< of rewind: tokens to take back; of pause: 1: what follows, to the next pause, is whole
  BlockIndex block;          ///< of fork and join
  bool is_repeated = false;  ///< it was done before, and the cache has lost it: see replay.hpp
};

/// A change of a branch's sequence that is done: an operation that feeds nothing, after the first `n_tokens` tokens.
struct FedMark {
  std::size_t n_tokens = 0;
  Operation::Kind kind = Operation::Kind::pause;
  std::int32_t count = 0;
  BlockIndex block;
};

/// All that passes did to a branch's sequence, in order, where it may have to be done again (replay.hpp).
struct FedLog {
  SharedArray<TokenId> tokens;
  SharedArray<FedMark> marks;
};

/// A sampled token, and the log-probabilities that the request wants reported.
struct SampledToken {
  TokenId token = kUnknownToken;
  float log_probability = std::numeric_limits<float>::quiet_NaN();
  std::vector<TokenLogProbability> top;
};

/// Where a block stands in what a branch has written.
struct BlockMark {
  std::size_t n_tokens = 0;  ///< of the branch's own, before the block
  std::size_t n_bytes = 0;   ///< of its own text, likewise
  BlockIndex block;
};

/// The log-probability of a token, NaN if it was not sampled, and where those of the likeliest in its place end.
struct TokenScore {
  float log_probability;
  std::size_t likeliest_end;  ///< in BranchState::likeliest
};

enum class Phase : std::uint8_t {
  queued,   ///< not admitted yet: it has neither rows nor pages until fewer branches run
  running,  ///< the next pass yields its next token
  waiting,  ///< for the branches of its block
  ended,    ///< samples no more
};

/// Where a branch stands in the beginning of the text that the reader sees.
struct TextBeginning {
  static TextBeginning passed() { return {{}, true}; }
  std::vector<TokenId> tokens;  ///< so far, without text
  bool over = false;            ///< there is text already, or it is another branch's to begin
};

template <class State>
struct BranchState {
  explicit BranchState(State s) : state(std::move(s)) {}
  bool is_trunk() const noexcept { return parent == kNone; }

  BranchIndex index = kTrunk;
  BranchIndex parent = kNone;
  std::vector<PathStep> path;
  SequenceId sequence = kNoSequence;
  State state;
  Phase phase = Phase::running;
  EndReason reason = EndReason::none;

  std::vector<Operation> operations;  ///< to be done, in order
  std::size_t n_planned = 0;          ///< of them, whole in the open step
  std::size_t n_planned_tokens = 0;   ///< of the next one, a prompt, when only a chunk of it is in the open step
  std::int32_t n_held = 0;            ///< free slots that its sequence holds
  std::int32_t n_planned_hold = 0;    ///< the same after the open step
  BlockIndex block;                   ///< the block that it waits for
  BlockIndex forked_block;            ///< the block that is forked in the cache and not yet joined
  BlockIndex own_block;               ///< the block that it is a branch of
  std::int32_t n_blocks = 0;          ///< forks so far

  Position start = 0;                 ///< of a branch: its first position
  WidePosition limit = 0;             ///< first position refused
  std::int32_t n_closing = 0;         ///< slots and positions kept free for the tokens that end the branch
  std::int32_t n_rejoining = 0;       ///< positions kept free for the tokens that are forced after the join
  std::int32_t n_allowed = 0;         ///< 1: the next pass may sample a token
  std::vector<SampledToken> sampled;  ///< that token, until all of its round are there
  FedLog log;                         ///< where RequestState::keeps_log

  DraftChain chain;           ///< may follow: of the token that it samples next and of those after it
  std::vector<State> drafts;  ///< the markup's states after those tokens of the chain that are rows of the open step
  std::array<DraftRecord, DraftChain::kKinds> draft_records = {};
  std::shared_ptr<DraftMemory> draft_memory;  ///< of `seen`

  StreamKey stream{};
  std::int64_t n_sampled = 0;

  // Its own writing; that of its blocks stands with their branches: see reading_order.hpp.
  SharedArray<TokenId> tokens;                 ///< sampled and forced, tags and titles included
  SharedArray<TokenScore> scores;              ///< [tokens], where the request wants log-probabilities
  SharedArray<TokenLogProbability> likeliest;  ///< of all its tokens, one after the other
  SharedArray<char> text;                      ///< for the reader
  SharedArray<BlockMark> blocks;               ///< in order
  std::size_t n_settled = 0;     ///< of the tokens, before its last join: `Action::forget` does not reach them
  SharedArray<TokenId> seen;     ///< the same with what its joined blocks wrote, where RequestState::keeps_seen
  std::size_t n_seen_above = 0;  ///< of its parent's, when it was forked: the others it does not see

  std::string title;
  TextBeginning beginning;
  TextStream stream_of_text;
};

/// Records that `token` is to be fed; tokens that follow each other share an operation.
template <class State>
void feed(BranchState<State>& branch, TokenId token) {
  if (branch.operations.empty() || branch.operations.back().kind != Operation::Kind::feed)
    branch.operations.emplace_back(Operation::Kind::feed);
  branch.operations.back().tokens.push_back(token);
}

/// Adds printable text to the branch's record.
template <class State>
const std::string& keep_text(BranchState<State>& branch, const std::string& text) {
  branch.text.append({text.data(), text.size()});
  return text;
}

}  // namespace anabranch::impl
