// SharedTable: a table whose copies share what they do not change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

/// Items lie in chunks. A copy costs a counted pointer per chunk; `edit` copies the item's chunk when another table has
/// it too. References to items stay valid until the item is edited or removed.
template <class T, class I>
class SharedTable {
 public:
  std::int32_t size() const noexcept { return size_; }
  I end_index() const noexcept { return I(size_); }
  const T& operator[](I index) const noexcept { return (*chunks_[chunk_of(index)])[place_in_chunk(index)]; }
  /// The item to be changed. Without a copy it never fails.
  T& edit(I index) { return own(chunk_of(index))[place_in_chunk(index)]; }

  I push_back(T item) {
    const I index = end_index();
    if (place_in_chunk(index) == 0) {
      auto chunk = std::make_shared<std::vector<T>>();
      chunk->reserve(kChunk);
      chunk->push_back(std::move(item));
      chunks_.push_back(std::move(chunk));
    } else {
      own(chunk_of(index)).push_back(std::move(item));
    }
    ++size_;
    return index;
  }
  /// Removes all items but the first `n`. REQUIRES: there are as many.
  void truncate(std::int32_t n) {
    const std::size_t n_chunks = (offset_of(n) + kChunk - 1) / kChunk;
    if (const std::size_t n_last = offset_of(n) % kChunk; n_last != 0) {
      std::vector<T>& last = own(n_chunks - 1);
      last.erase(last.begin() + static_cast<std::ptrdiff_t>(n_last), last.end());
    }
    chunks_.resize(n_chunks);
    size_ = n;
  }

 private:
  static constexpr std::size_t kChunk = 32;
  static std::size_t chunk_of(I index) noexcept { return offset_of(index) / kChunk; }
  static std::size_t place_in_chunk(I index) noexcept { return offset_of(index) % kChunk; }
  std::vector<T>& own(std::size_t chunk) {
    std::shared_ptr<std::vector<T>>& shared = chunks_[chunk];
    if (shared.use_count() > 1) {
      auto copy = std::make_shared<std::vector<T>>();
      copy->reserve(kChunk);
      copy->assign(shared->begin(), shared->end());
      shared = std::move(copy);
    }
    return *shared;
  }

  std::vector<std::shared_ptr<std::vector<T>>> chunks_;
  std::int32_t size_ = 0;
};

}  // namespace anabranch::impl
