// A model whose answers depend on every bit that a transformer's would: on the tokens and positions that a row sees, on
// their order, and on where attention cuts the segments of its history. Two layers of hashes, no arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/random.hpp>
#include <anabranch/mask/pieces.hpp>

#include "markup/letters.hpp"

namespace schedules {

namespace ab = anabranch;
using namespace letters;

class HashModel {
 public:
  /// Tokens for the outputs of a plan.
  const Tokens& operator()(const ab::DecoderPlan& plan) {
    const ab::StepPlan& step = *plan;
    const auto n = static_cast<std::size_t>(step.n_rows());
    if (first_.size() < static_cast<std::size_t>(step.n_slots)) {
      first_.resize(static_cast<std::size_t>(step.n_slots));
      second_.resize(static_cast<std::size_t>(step.n_slots));
    }
    for (std::size_t i = 0; i < n; ++i)
      first_[place(step.slots[i])] = ab::mix(static_cast<std::uint64_t>(step.tokens[i]) << 32 |
                                             static_cast<std::uint64_t>(step.positions[i]));
    pieces_.build(step.groups, step.views, {step.n_rows(), step.n_slots});
    attend(first_, n);
    for (std::size_t i = 0; i < n; ++i) second_[place(step.slots[i])] = rows_[i];
    attend(second_, n);
    sampled_.clear();
    for (std::int32_t k = 0; k < static_cast<std::int32_t>(step.outputs.size()); ++k) {
      const ab::OutputSettings& output = plan.output_settings(k);
      const std::uint64_t row = rows_[static_cast<std::size_t>(step.outputs.begin()[k].row)];
      sampled_.push_back(choice(ab::mix(row ^ static_cast<std::uint64_t>(output.index)), output.branch != ab::kTrunk));
    }
    n_rows += step.n_rows();
    ++n_passes;
    return sampled_;
  }
  /// What the model keeps of a token.
  std::uint64_t content(ab::Slot slot) const { return second_[place(slot)]; }

  std::int64_t n_rows = 0, n_passes = 0;

 private:
  static std::size_t place(ab::Slot slot) { return static_cast<std::size_t>(slot); }

  /// As the kernels: a partial result for each `kChunk` tokens of a segment, merged in history order.
  void attend(const std::vector<std::uint64_t>& content, std::size_t n) {
    constexpr std::int32_t kChunk = 4;
    rows_.assign(n, 0);
    for (const ab::Piece& piece : pieces_.pieces()) {
      const auto limits = pieces_.limits(piece);
      for (ab::RowIndex row = piece.row_begin; row < piece.row_end; ++row) {
        const std::int32_t limit = limits[static_cast<std::size_t>(row - piece.row_begin)];
        std::uint64_t& result = rows_[static_cast<std::size_t>(row)];
        std::uint64_t partial = 0;
        std::int32_t chunk = -1;
        for (const ab::SlotRun& run : pieces_.runs(piece))
          for (std::int32_t k = 0; k < run.count; ++k) {
            const std::int32_t offset = run.offset + k;
            if (offset < piece.begin || offset >= limit) continue;
            if (offset / kChunk != chunk && chunk >= 0) result = ab::mix(result ^ partial), partial = 0;
            chunk = offset / kChunk;
            partial += ab::mix(content[place(run.first + k)]);
          }
        if (chunk >= 0) result = ab::mix(result ^ partial);
      }
    }
  }

  /// Mostly letters, so that answers are as long as they may be; often titles and blocks.
  static TokenId choice(std::uint64_t hash, bool in_branch) {
    const auto kind = static_cast<std::uint32_t>(hash % 100);
    const auto letter = static_cast<TokenId>(kFirstLetter + (hash >> 32) % 26);
    if (kind < 12) return kTitle;
    if (kind < 26) return kTitleEnd;
    if (kind < 36) return kPara;
    if (kind < (in_branch ? 48u : 38u)) return kBranchEnd;
    if (kind < 51) return kEnd;
    return letter;
  }

  std::vector<std::uint64_t> first_, second_, rows_;  // [slots], [slots], [rows]
  ab::PieceList pieces_;
  Tokens sampled_;
};

/// ASPD with what else a markup may ask for: `w` takes two tokens back and forces one, `u` takes two back, and a title
/// that begins with a vowel makes a branch without a prefix.
class Unruly {
 public:
  using State = Aspd::State;
  State start() const { return own_.start(); }
  State child(const State& s, std::int32_t k) const { return own_.child(s, k); }
  ab::markup::Action next(State& s, TokenId token) const {
    ab::markup::Action action = own_.next(s, token);
    if (token == kFirstLetter + 22) action.forget = 2, action.forced = {{kFirstLetter + 21, ab::markup::Role::text}};
    if (token == kFirstLetter + 20) action.forget = 2;
    for (ab::markup::Seed& seed : action.seeds)
      if (!seed.title.empty() && seed.title[0] % 3 == 0) seed.prefix.clear();
    return action;
  }
  ab::markup::Action joined(State& s) const { return own_.joined(s); }
  ab::markup::Forced closing(const State& s) const { return own_.closing(s); }
  TokenId draft(const State& s) const { return own_.draft(s); }

 private:
  Aspd own_ = aspd();
};

using Decoder = ab::Decoder<Unruly, Letters>;

}  // namespace schedules
