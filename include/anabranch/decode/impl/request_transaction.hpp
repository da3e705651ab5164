// RequestTransaction: changes to requests that happen whole or not at all.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch::impl {

/// Copies of requests stand in their places, so that whoever walks the requests sees what has been decided so far.
/// Unless they are kept, the originals come back and the events since are forgotten.
template <class State>
class RequestTransaction {
 public:
  using Requests = std::vector<std::unique_ptr<Request<State>>>;

  /// `retired` gets the originals of copies that are kept: what is borrowed from them stays valid in there.
  RequestTransaction(Requests& requests, std::vector<Event>& events, Requests& retired) noexcept
      : requests_(requests), events_(events), retired_(retired), n_events_(events.size()) {}
  RequestTransaction(const RequestTransaction&) = delete;
  RequestTransaction& operator=(const RequestTransaction&) = delete;
  ~RequestTransaction() {
    if (kept_) return;
    for (std::size_t i = originals_.size(); i-- > 0;) requests_[originals_[i].first].swap(originals_[i].second);
    events_.erase(events_.begin() + static_cast<std::ptrdiff_t>(n_events_), events_.end());
  }

  /// A copy of request `i`, now in its place.
  Request<State>& change(std::size_t i) {
    reserve_more(retired_, originals_.size() + 1);
    originals_.emplace_back(i, std::make_unique<Request<State>>(*requests_[i]));
    requests_[i].swap(originals_.back().second);
    return *requests_[i];
  }
  /// The copies stay. Never fails.
  void keep() noexcept {
    for (auto& [i, original] : originals_) retired_.push_back(std::move(original));
    kept_ = true;
  }

 private:
  Requests& requests_;
  std::vector<Event>& events_;
  Requests& retired_;
  std::size_t n_events_;
  std::vector<std::pair<std::size_t, std::unique_ptr<Request<State>>>> originals_;
  bool kept_ = false;
};

}  // namespace anabranch::impl
