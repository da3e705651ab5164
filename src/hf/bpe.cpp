#include "bpe.hpp"

#include <algorithm>

#include "utf8.hpp"

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

// The symbols of a word before anything is merged. What has no token becomes `unknown`, which is written when something
// else follows: so that consecutive ones can be fused.
class Bpe::Start {
 public:
  Start(const Bpe& bpe, Scratch& scratch) : bpe_(bpe), symbols_(scratch.symbols) { symbols_.clear(); }

  void add_known(TokenId token) {
    finish();
    add(token);
  }
  /// A token of a fallback: does not end a run of unknown ones.
  void add(TokenId token) {
    const auto n = static_cast<std::int32_t>(symbols_.size());
    if (n > 0) symbols_.back().next = n;
    symbols_.push_back({token, n - 1, kNone, false});
  }
  void add_unknown() {
    if (pending_ && !bpe_.fuse_unknown) add(bpe_.unknown);
    pending_ = bpe_.unknown != kNone;
  }
  void finish() {
    if (pending_) add(bpe_.unknown);
    pending_ = false;
  }

 private:
  const Bpe& bpe_;
  std::vector<Scratch::Symbol>& symbols_;
  bool pending_ = false;
};

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (whole_words) {
    scratch.key.assign(word);
    if (const auto found = words.find(scratch.key); found != words.end()) return out.push_back(found->second);
  }
  Start start(*this, scratch);
  of_bytes ? start_bytes(word, start) : start_characters(word, start);
  start.finish();
  merge_all(scratch);
  for (const Scratch::Symbol& symbol : scratch.symbols)
    if (!symbol.removed) out.push_back(symbol.token);
}

void Bpe::start_bytes(std::string_view word, Start& start) const {
  for (const char c : word) {
    const ByteSymbols& symbols = bytes[static_cast<unsigned char>(c)];
    if (symbols.n == 0) {
      start.add_unknown();
    } else if (symbols.fallback) {
      for (std::uint8_t i = 0; i < symbols.n; ++i) start.add(symbols.tokens[i]);
    } else {
      start.add_known(symbols.tokens[0]);
    }
  }
}

void Bpe::start_characters(std::string_view word, Start& start) const {
  for (std::size_t i = 0; i < word.size();) {
    const std::size_t begin = i;
    if (const TokenId token = characters.find(next_char(word, i)); token != kNone) {
      start.add_known(token);
      continue;
    }
    const std::string_view rest = word.substr(begin, i - begin);
    const auto token_of = [this](char byte) { return fallback[static_cast<unsigned char>(byte)]; };
    if (std::any_of(rest.begin(), rest.end(), [&](char byte) { return token_of(byte) == kNone; }))
      start.add_unknown();
    else
      for (const char byte : rest) start.add(token_of(byte));
  }
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
