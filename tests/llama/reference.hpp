// The logits that every token of a tree must get: a naive book records which tokens each one sees, and llama.cpp
// decodes one token at a time, in a seq_id that holds exactly those.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <llama.h>

#include <anabranch/anabranch.hpp>

namespace anabranch::test {

/// A token that the model was fed.
struct Fed {
  TokenId token = 0;
  Position position = 0;
  std::vector<int> sees;  ///< numbers of the tokens before it, in no order
};

inline float difference(std::span<const float> a, std::span<const float> b) {
  float largest = a.size() == b.size() ? 0.0f : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float d = std::abs(a[i] - b[i]);
    if (!(d <= largest)) largest = d;
  }
  return largest;
}

/// Uses the seq_ids of a context of its own: one for each token, and the last for the token that is being decoded.
class OneByOne {
 public:
  /// `context` has 256 seq_ids, all empty.
  explicit OneByOne(llama_context* context)
      : context_(context),
        memory_(llama_get_memory(context)),
        vocabulary_(llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)))) {}
  ~OneByOne() { llama_memory_clear(memory_, false); }
  OneByOne(const OneByOne&) = delete;
  OneByOne& operator=(const OneByOne&) = delete;

  /// Logits of token number `n`. REQUIRES: `logits` was called before for every token that it sees.
  const std::vector<float>& logits(int n, const Fed& fed) {
    const auto [it, is_new] = logits_.try_emplace(n);
    if (!is_new) return it->second;
    const auto own = static_cast<llama_seq_id>(logits_.size() - 1);
    if (own >= kWork) throw std::logic_error("more tokens than the reference has seq_ids");
    seq_id_[n] = own;
    for (const int seen : fed.sees) llama_memory_seq_cp(memory_, seq_id_.at(seen), kWork, 0, fed.position);
    std::int32_t one = 1;
    std::int8_t wanted = 1;
    llama_seq_id work = kWork;
    llama_seq_id* seq_ids = &work;
    TokenId token = fed.token;
    Position position = fed.position;
    if (llama_decode(context_, {1, &token, nullptr, &position, &one, &seq_ids, &wanted}) != 0)
      throw std::logic_error("the reference could not decode");
    const float* values = llama_get_logits_ith(context_, 0);
    it->second.assign(values, values + vocabulary_);
    llama_memory_seq_cp(memory_, kWork, own, fed.position, fed.position + 1);
    llama_memory_seq_rm(memory_, kWork, -1, -1);
    return it->second;
  }

 private:
  static constexpr llama_seq_id kWork = 255;
  llama_context* context_;
  llama_memory_t memory_;
  std::int32_t vocabulary_;
  std::map<int, llama_seq_id> seq_id_;
  std::map<int, std::vector<float>> logits_;
};

/// The naive book of one cache: the numbers of the tokens that each sequence sees.
class Book {
 public:
  explicit Book(const KvCache& cache) : cache_(&cache) {}

  void create(SequenceId sequence) { sees_[sequence] = {}; }
  void append(SequenceId sequence, std::span<const TokenId> tokens) {
    Position position = cache_->next_position(sequence) - static_cast<Position>(tokens.size());  // after Step::append
    for (const TokenId token : tokens) {
      fed_.push_back({token, position++, sees_[sequence]});
      sees_[sequence].push_back(static_cast<int>(fed_.size()) - 1);
    }
  }
  void fork(SequenceId parent, std::span<const SequenceId> children) {
    for (const SequenceId child : children) {
      sees_[child] = sees_[parent];
      forked_at_[child] = sees_[parent].size();
    }
  }
  void join(SequenceId parent, std::span<const SequenceId> children) {
    for (const SequenceId child : children) {
      const std::vector<int>& from = sees_[child];
      sees_[parent].insert(sees_[parent].end(), from.begin() + static_cast<std::ptrdiff_t>(forked_at_[child]),
                           from.end());
    }
  }
  void rewind(SequenceId sequence, std::int32_t n_tokens) {
    sees_[sequence].resize(static_cast<std::size_t>(n_tokens));
  }
  void adopt(SequenceId parent, SequenceId child) { sees_[parent] = sees_[child]; }

  /// Token number of each row of the plan: what a sequence sees, the cache lists as slots in the same order.
  std::vector<int> numbers(const StepPlan& plan) const {
    std::map<Slot, int> number;
    for (const auto& [sequence, seen] : sees_) {
      if (!cache_->alive(sequence)) continue;
      const std::vector<Slot> slots = cache_->slots_of(sequence);
      for (std::size_t i = 0; i < slots.size(); ++i) number[slots[i]] = seen.at(i);
    }
    std::vector<int> all;
    for (const Slot slot : plan.slots) all.push_back(number.at(slot));
    return all;
  }

  const Fed& fed(int number) const { return fed_[static_cast<std::size_t>(number)]; }
  int n_fed() const { return static_cast<int>(fed_.size()); }

 private:
  const KvCache* cache_;
  std::vector<Fed> fed_;
  std::map<SequenceId, std::vector<int>> sees_;
  std::map<SequenceId, std::size_t> forked_at_;
};

}  // namespace anabranch::test
