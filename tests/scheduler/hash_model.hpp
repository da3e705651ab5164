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
    run(*plan);
    sampled_.clear();
    for (std::int32_t k = 0; k < static_cast<std::int32_t>(plan->outputs.size()); ++k) {
      const ab::OutputSettings& output = plan.output_settings(k);
      const std::uint64_t row = rows_[static_cast<std::size_t>(plan->outputs.begin()[k].row)];
      const TokenId last = plan->tokens[static_cast<std::size_t>(plan->outputs.begin()[k].row)];
      sampled_.push_back(choice(ab::mix(row ^ static_cast<std::uint64_t>(output.index)), last));
    }
    return sampled_;
  }
  /// The same as a Model: logits that have one likeliest token.
  ab::LogitsView operator()(const ab::StepPlan& step) {
    run(step);
    logits_.assign(step.outputs.size() * kVocabulary, 0.0f);
    for (std::size_t k = 0; k < step.outputs.size(); ++k) {
      const std::uint64_t row = rows_[static_cast<std::size_t>(step.outputs.begin()[k].row)];
      logits_[k * kVocabulary + static_cast<std::size_t>(choice(ab::mix(row), step.tokens[static_cast<std::size_t>(step.outputs.begin()[k].row)]))] = 9.0f;
    }
    return {logits_.data(), static_cast<std::int32_t>(step.outputs.size()), kVocabulary};
  }
  /// What the model keeps of a token.
  std::uint64_t content(ab::Slot slot) const { return second_[place(slot)]; }

  std::int64_t n_rows = 0, n_passes = 0;

 private:
  static std::size_t place(ab::Slot slot) { return static_cast<std::size_t>(slot); }

  void run(const ab::StepPlan& step) {
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
    n_rows += step.n_rows();
    ++n_passes;
  }

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

  /// What follows the token `last`: mostly letters, so that answers are as long as they may be; often titles and blocks.
  static TokenId choice(std::uint64_t hash, TokenId last) {
    const auto kind = static_cast<std::uint32_t>(hash % 100);
    const auto letter = static_cast<TokenId>((hash >> 32) % 26);
    const bool in_title = last >= kFirstLetter + 13 && last < kFirstLetter + 19;
    if (last == kTitle && kind < 90) return kFirstLetter + 13 + letter % 6;
    if (in_title && kind < 60) return kTitleEnd;
    if (last == kTitleEnd && kind < 90) return kind < 45 ? kTitle : kPara;
    if (kind < 14) return kTitle;
    if (kind < 17) return kPara;
    if (kind < 29) return kBranchEnd;
    if (kind < 33) return kEnd;
    return kFirstLetter + letter;
  }

  std::vector<std::uint64_t> first_, second_, rows_;  // [slots], [slots], [rows]
  ab::PieceList pieces_;
  Tokens sampled_;
  std::vector<float> logits_;
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
