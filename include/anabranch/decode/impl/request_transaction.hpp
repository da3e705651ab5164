// RequestTransaction: changes several requests as a whole or not at all.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/request_state.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch::impl {

/// Sequences that passes to come will create for the running requests.
struct SequencesDue {
  std::int64_t n = 0;
  std::int64_t n_in_step = 0;  ///< of them, in the cache already, as part of the open plan
};

/// Puts a copy in the place of each request that is changed, so that a walk over the requests sees the changes so far.
/// Without `keep`, the destructor puts the originals back and forgets the events since the constructor.
template <class State>
class RequestTransaction {
 public:
  using Requests = std::vector<std::unique_ptr<RequestState<State>>>;

  /// Kept copies move their originals to `retired`, where references to them stay valid.
  RequestTransaction(Requests& requests, std::vector<Event>& events, SequencesDue& due, Requests& retired) noexcept
      : requests_(requests),
        events_(events),
        due_(due),
        retired_(retired),
        n_events_(std::ssize(events)),
        due_before_(due) {}
  RequestTransaction(const RequestTransaction&) = delete;
  RequestTransaction& operator=(const RequestTransaction&) = delete;
  ~RequestTransaction() {
    if (kept_) return;
    for (std::size_t i = originals_.size(); i-- > 0;) requests_[originals_[i].first].swap(originals_[i].second);
    events_.erase(events_.begin() + n_events_, events_.end());
    due_ = due_before_;
  }

  /// Copies the request at `index`; the copy is in its place from now on.
  RequestState<State>& change(std::size_t index) {
    reserve_more(retired_, originals_.size() + 1);
    originals_.emplace_back(index, std::make_unique<RequestState<State>>(*requests_[index]));
    requests_[index].swap(originals_.back().second);
    return *requests_[index];
  }
  /// The copies stay. Never fails.
  void keep() noexcept {
    for (auto& [index, original] : originals_) retired_.push_back(std::move(original));
    kept_ = true;
  }

 private:
  Requests& requests_;
  std::vector<Event>& events_;
  SequencesDue& due_;
  Requests& retired_;
  std::ptrdiff_t n_events_;
  SequencesDue due_before_;
  std::vector<std::pair<std::size_t, std::unique_ptr<RequestState<State>>>> originals_;
  bool kept_ = false;
};

}  // namespace anabranch::impl
