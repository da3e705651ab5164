#include "bpe.hpp"

#include <algorithm>

namespace anabranch::hf::impl {
namespace {

std::uint64_t pair_of(TokenId left, TokenId right) noexcept {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

// Order of std::push_heap: the best candidate is the greatest.
bool worse(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) noexcept {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

std::size_t MergeTable::place(std::uint64_t pair) const noexcept {
  const std::size_t mask = places_.size() - 1;
  std::uint64_t mixed = pair * 0x9e3779b97f4a7c15u;
  mixed ^= mixed >> 32;
  std::size_t i = mixed & mask;
  while (places_[i].pair != Merge::kEmpty && places_[i].pair != pair) i = (i + 1) & mask;
  return i;
}

void MergeTable::reserve(std::size_t n_merges) {
  std::size_t size = places_.size();
  while (size < 2 * n_merges) size *= 2;
  if (size == places_.size()) return;
  std::vector<Merge> old(size);
  old.swap(places_);
  for (const Merge& merge : old)
    if (merge.pair != Merge::kEmpty) places_[place(merge.pair)] = merge;
}

void MergeTable::insert(TokenId left, TokenId right, std::int32_t rank, TokenId merged) {
  reserve(n_ + 1);
  Merge& merge = places_[place(pair_of(left, right))];
  if (merge.pair == Merge::kEmpty) ++n_;
  merge = Merge{pair_of(left, right), rank, merged};
}

const Merge* MergeTable::find(TokenId left, TokenId right) const noexcept {
  const Merge& merge = places_[place(pair_of(left, right))];
  return merge.pair == Merge::kEmpty ? nullptr : &merge;
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (whole_words) {
    scratch.key.assign(word);
    if (const auto found = words.find(scratch.key); found != words.end()) return out.push_back(found->second);
  }
  start(word, scratch);
  merge_all(scratch);
  for (const Scratch::Symbol& symbol : scratch.symbols)
    if (!symbol.removed) out.push_back(symbol.token);
}

// One symbol per byte. Bytes without a token become `unknown`, which is written when something else follows: so that
// consecutive ones can be fused.
void Bpe::start(std::string_view word, Scratch& scratch) const {
  scratch.symbols.clear();
  const auto add = [&](TokenId token) {
    const auto n = static_cast<std::int32_t>(scratch.symbols.size());
    if (n > 0) scratch.symbols.back().next = n;
    scratch.symbols.push_back({token, n - 1, kNone, false});
  };
  bool pending = false;
  for (const char c : word) {
    const ByteSymbols& symbols = bytes[static_cast<unsigned char>(c)];
    if (symbols.n == 0) {
      if (pending && !fuse_unknown) add(unknown);
      pending = unknown != kNone;
      continue;
    }
    if (pending && !symbols.fallback) {
      add(unknown);
      pending = false;
    }
    for (std::uint8_t i = 0; i < symbols.n; ++i) add(symbols.tokens[i]);
  }
  if (pending) add(unknown);
}

void Bpe::propose(Scratch& scratch, std::int32_t left, std::int32_t right) const {
  const Scratch::Symbol* const symbols = scratch.symbols.data();
  const Merge* merge = merges.find(symbols[left].token, symbols[right].token);
  if (!merge) return;
  scratch.heap.push_back({merge->rank, left, merge->merged});
  std::push_heap(scratch.heap.begin(), scratch.heap.end(), worse);
}

void Bpe::merge_all(Scratch& scratch) const {
  Scratch::Symbol* const symbols = scratch.symbols.data();
  const auto n = static_cast<std::int32_t>(scratch.symbols.size());
  scratch.heap.clear();
  for (std::int32_t i = 1; i < n; ++i) propose(scratch, i - 1, i);
  while (!scratch.heap.empty()) {
    std::pop_heap(scratch.heap.begin(), scratch.heap.end(), worse);
    const Scratch::Candidate best = scratch.heap.back();
    scratch.heap.pop_back();
    Scratch::Symbol& left = symbols[best.position];
    if (left.removed || left.next == kNone) continue;
    Scratch::Symbol& right = symbols[left.next];
    // The neighbours may have changed since; like the reference, what counts is that they still become the same token.
    const Merge* merge = merges.find(left.token, right.token);
    if (!merge || merge->merged != best.merged) continue;
    left.token = best.merged;
    left.next = right.next;
    right.removed = true;
    if (right.next != kNone) symbols[right.next].previous = best.position;
    if (left.previous != kNone) propose(scratch, left.previous, best.position);
    if (left.next != kNone) propose(scratch, best.position, left.next);
  }
}

}  // namespace anabranch::hf::impl
