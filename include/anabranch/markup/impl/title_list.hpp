// TitleList: the titles that a branch knows, cheap to copy.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::markup::impl {

struct Title {
  std::vector<TokenId> tokens;
  std::string text;  ///< trimmed; empty without AspdOptions::text
};

/// Copies share one list until one of them grows. O(1) to copy, O(titles) to append, without copying titles.
class TitleList {
 public:
  std::size_t size() const noexcept { return titles_ ? titles_->size() : 0; }
  const Title& operator[](std::size_t i) const noexcept { return *(*titles_)[i]; }
  void push_back(Title title) {
    auto titles = titles_ ? std::make_shared<List>(*titles_) : std::make_shared<List>();
    titles->push_back(std::make_shared<const Title>(std::move(title)));
    titles_ = std::move(titles);
  }
  void clear() noexcept { titles_.reset(); }

 private:
  using List = std::vector<std::shared_ptr<const Title>>;
  std::shared_ptr<const List> titles_;
};

}  // namespace anabranch::markup::impl
