// SharedTable: a table whose copies share what they do not change.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

/// Items lie in chunks. A copy costs a counted pointer per chunk; `edit` copies the item's chunk when another table has
/// it too. A chunk has room for its items and grows with them, since most tables hold one item. References to items
/// stay valid until the table is edited.
template <class T, class I>
class SharedTable {
 public:
  std::int32_t size() const noexcept { return size_; }
  I end_index() const noexcept { return I(size_); }
  const T& operator[](I index) const noexcept { return chunks_[chunk_of(index)].items.get()[place_in_chunk(index)]; }
  /// The item to be changed. Without a copy it never fails.
  T& edit(I index) {
    own(chunk_of(index));
    return chunks_[chunk_of(index)].items.get()[place_in_chunk(index)];
  }

  I push_back(T item) {
    const I index = end_index();
    const std::size_t chunk = chunk_of(index), place = place_in_chunk(index);
    if (place == 0) {
      chunks_.push_back({std::make_shared<T[]>(1), 1});
    } else if (place == chunks_[chunk].capacity) {
      move_to(chunk, std::min(2 * place, kChunk));
    } else {
      own(chunk);
    }
    chunks_[chunk].items.get()[place] = std::move(item);
    ++size_;
    return index;
  }
  /// Removes all items but the first `n`. REQUIRES: there are as many.
  void truncate(std::int32_t n) {
    const std::size_t n_chunks = (offset_of(n) + kChunk - 1) / kChunk;
    if (const std::size_t n_last = offset_of(n) % kChunk; n_last != 0) {
      own(n_chunks - 1);
      T* const items = chunks_[n_chunks - 1].items.get();
      std::fill(items + n_last, items + n_in_chunk(n_chunks - 1), T{});
    }
    chunks_.resize(n_chunks);
    size_ = n;
  }

 private:
  struct Chunk {
    std::shared_ptr<T[]> items;  // [capacity]; other tables may have it too
    std::size_t capacity = 0;
  };
  static constexpr std::size_t kChunk = 32;
  static std::size_t chunk_of(I index) noexcept { return offset_of(index) / kChunk; }
  static std::size_t place_in_chunk(I index) noexcept { return offset_of(index) % kChunk; }
  std::size_t n_in_chunk(std::size_t chunk) const noexcept {
    return std::min(kChunk, offset_of(size_) - chunk * kChunk);
  }
  void own(std::size_t chunk) {
    if (chunks_[chunk].items.use_count() > 1) move_to(chunk, chunks_[chunk].capacity);
  }
  void move_to(std::size_t chunk, std::size_t capacity) {
    std::shared_ptr<T[]> items = std::make_shared<T[]>(capacity);
    std::copy_n(chunks_[chunk].items.get(), n_in_chunk(chunk), items.get());
    chunks_[chunk] = {std::move(items), capacity};
  }

  std::vector<Chunk> chunks_;
  std::int32_t size_ = 0;
};

}  // namespace anabranch::impl
