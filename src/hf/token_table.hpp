// A vector that is read by token id.
#pragma once

#include <cstddef>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::hf::impl {

/// One item for each id in [0, n()).
template <class T>
class TokenTable {
 public:
  TokenId n() const noexcept { return static_cast<TokenId>(items_.size()); }
  /// REQUIRES: id in [0, n()).
  typename std::vector<T>::reference operator[](TokenId id) { return items_[offset(id)]; }
  typename std::vector<T>::const_reference operator[](TokenId id) const { return items_[offset(id)]; }
  /// Makes room for an id of at least 0; new items have their default value.
  void reach(TokenId id) {
    if (id >= n()) items_.resize(offset(id) + 1);
  }

 private:
  static std::size_t offset(TokenId id) noexcept { return static_cast<std::size_t>(id); }

  std::vector<T> items_;
};

}  // namespace anabranch::hf::impl
