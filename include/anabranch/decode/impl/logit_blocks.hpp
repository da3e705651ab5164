// LogitBlocks: one output's logits, read once to check them and to know where the large ones are.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// Index of a token's logit. REQUIRES: token >= 0.
constexpr std::size_t index_of(TokenId token) noexcept { return static_cast<std::uint32_t>(token); }

inline bool has(std::span<const TokenId> tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

template <std::floating_point Logit>
void check_logit(TokenId token, Logit logit) {
  if (std::isnan(logit) || logit == std::numeric_limits<Logit>::infinity())
    fail(Status::bad_logits, "logit of token ", token, " is ", logit);
}

/// A view of the logits in blocks of 256, and the largest of every *cell*: 16 cells a block, cell c of it holding the
/// logits c, c + 16, c + 32, ... of the block, so that the maxima of neighbouring cells are computed side by side in
/// vector registers. What is asked later (the largest, the k largest) is found from the 1/16 that the maxima are.
///
/// A logit can be replaced: then its block, and no other, is copied. The copy of a last block that is not whole is
/// padded with -infinity. Everything is kept from one output to the next, so nothing is allocated in the long run.
template <std::floating_point Logit>
class LogitBlocks {
 public:
  static constexpr std::size_t kCells = 16;
  static constexpr std::size_t kBlock = 256;
  static constexpr Logit kNever = -std::numeric_limits<Logit>::infinity();

  /// Borrows `logits` until the next call. Throws bad_logits, naming the first that is NaN or +infinity.
  void read(std::span<const Logit> logits);

  std::size_t size() const noexcept { return logits_.size(); }
  std::size_t n_blocks() const noexcept { return copies_.size(); }
  /// 256 of them, those behind the end -infinity.
  std::span<const Logit, kBlock> block(std::size_t b) const noexcept {
    if (copies_[b] != kNoCopy) return copied_[copies_[b]];
    return logits_.subspan(b * kBlock).template first<kBlock>();
  }
  Logit operator[](TokenId token) const noexcept { return block(index_of(token) / kBlock)[index_of(token) % kBlock]; }

  /// REQUIRES: a token of these logits. The maxima are as before until `renew`.
  void replace(TokenId token, Logit logit) { copy(index_of(token) / kBlock)[index_of(token) % kBlock] = logit; }
  /// Makes the maxima those of the logits as they are now.
  void renew();

  /// -infinity when there is no other.
  Logit largest() const noexcept;
  /// The lowest token whose logit is `value`. REQUIRES: there is one.
  TokenId first(Logit value) const noexcept;
  /// A value that at least k tokens reach, and not many more: the k-th largest maximum of a cell; -infinity when there
  /// are fewer than k cells. REQUIRES: k > 0.
  Logit reached_by(std::size_t k);
  /// Calls `use(token, logit)` for all with a finite logit of at least `value`, in any order.
  template <class Use>
  void for_each_from(Logit value, Use&& use) const;

 private:
  static bool scan(std::span<const Logit, kBlock> values, Logit* maxima) noexcept;
  std::array<Logit, kBlock>& copy(std::size_t b);

  std::span<const Logit> logits_;
  static constexpr std::uint32_t kNoCopy = 0xffffffffu;
  std::vector<std::uint32_t> copies_;  // [n_blocks] index into copied_; kNoCopy: as the caller gave it
  std::vector<std::array<Logit, kBlock>> copied_;
  std::vector<Logit> maxima_;   // [n_blocks][kCells], then -infinity up to whole blocks of these
  std::vector<Logit> highest_;  // scratch of reached_by
};

/// Maxima of the cells of one block. True: one of the logits is NaN or +infinity. With both trip counts constant this
/// becomes vector code, and a cell is always computed in the same order.
template <std::floating_point Logit>
bool LogitBlocks<Logit>::scan(std::span<const Logit, kBlock> values, Logit* maxima) noexcept {
  using Mask = std::conditional_t<sizeof(Logit) == 4, std::int32_t, std::int64_t>;  // as wide as a logit
  constexpr Logit kInfinity = std::numeric_limits<Logit>::infinity();
  Mask any_bad = 0;
  for (std::size_t cell = 0; cell < kCells; ++cell) {
    Logit most = kNever;
    Mask bad = 0;
    for (std::size_t i = 0; i < kBlock; i += kCells) {
      const Logit value = values[i + cell];
      bad |= value < kInfinity ? 0 : 1;
      most = value > most ? value : most;
    }
    maxima[cell] = most;
    any_bad |= bad;
  }
  return any_bad != 0;
}

template <std::floating_point Logit>
void LogitBlocks<Logit>::read(std::span<const Logit> logits) {
  logits_ = logits;
  copies_.assign((logits.size() + kBlock - 1) / kBlock, kNoCopy);
  copied_.clear();
  maxima_.assign((copies_.size() * kCells + kBlock - 1) / kBlock * kBlock, kNever);
  if (logits.size() % kBlock != 0) copy(n_blocks() - 1);
  for (std::size_t b = 0; b < n_blocks(); ++b) {
    if (!scan(block(b), maxima_.data() + b * kCells)) continue;
    for (std::size_t i = b * kBlock; i < logits.size(); ++i) check_logit(static_cast<TokenId>(i), logits[i]);
  }
}

template <std::floating_point Logit>
std::array<Logit, LogitBlocks<Logit>::kBlock>& LogitBlocks<Logit>::copy(std::size_t b) {
  if (copies_[b] == kNoCopy) {
    const std::span<const Logit> own = logits_.subspan(b * kBlock, std::min(kBlock, logits_.size() - b * kBlock));
    copied_.emplace_back();
    std::fill(std::copy(own.begin(), own.end(), copied_.back().begin()), copied_.back().end(), kNever);
    copies_[b] = static_cast<std::uint32_t>(copied_.size() - 1);
  }
  return copied_[copies_[b]];
}

template <std::floating_point Logit>
void LogitBlocks<Logit>::renew() {
  for (std::size_t b = 0; b < n_blocks(); ++b)
    if (copies_[b] != kNoCopy) scan(block(b), maxima_.data() + b * kCells);
}

template <std::floating_point Logit>
Logit LogitBlocks<Logit>::largest() const noexcept {
  Logit most = kNever;
  std::array<Logit, kCells> cells;
  for (std::size_t i = 0; i < maxima_.size(); i += kBlock) {
    scan(std::span(maxima_).subspan(i).template first<kBlock>(), cells.data());
    most = std::max(most, *std::max_element(cells.begin(), cells.end()));
  }
  return most;
}

template <std::floating_point Logit>
TokenId LogitBlocks<Logit>::first(Logit value) const noexcept {
  const auto cell = std::find(maxima_.begin(), maxima_.end(), value);
  const std::size_t b = static_cast<std::size_t>(cell - maxima_.begin()) / kCells;
  const std::span<const Logit, kBlock> values = block(b);
  const auto offset = std::find(values.begin(), values.end(), value) - values.begin();
  return static_cast<TokenId>(b * kBlock) + static_cast<TokenId>(offset);
}

template <std::floating_point Logit>
Logit LogitBlocks<Logit>::reached_by(std::size_t k) {
  if (k > maxima_.size()) return kNever;
  highest_.resize(k);
  std::partial_sort_copy(maxima_.begin(), maxima_.end(), highest_.begin(), highest_.end(), std::greater<Logit>());
  return highest_.back();
}

template <std::floating_point Logit>
template <class Use>
void LogitBlocks<Logit>::for_each_from(Logit value, Use&& use) const {
  for (std::size_t b = 0; b < n_blocks(); ++b) {
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      if (!(maxima_[b * kCells + cell] >= value)) continue;
      for (std::size_t i = cell; i < kBlock; i += kCells) {
        const Logit logit = block(b)[i];
        if (logit >= value && logit > kNever) use(static_cast<TokenId>(b * kBlock + i), logit);
      }
    }
  }
}

}  // namespace anabranch::impl
