// Scheduler: requests come, are admitted, give their pages up, and go.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <anabranch/decode/scheduler.hpp>

namespace anabranch {

template <class D>
Scheduler<D>::Scheduler(D& decoder, SchedulerOptions options)
    : decoder_(&decoder), options_(options), costs_(decoder.options().row_costs) {
  impl::check_count(options_.max_queued, 1, "max_queued");
  impl::check_count(options_.max_running, 1, "max_running");
  if (!(options_.target_seconds >= 0) || !std::isfinite(options_.target_seconds))
    fail(Status::bad_request, "target_seconds is ", options_.target_seconds, "; 0 or more are needed");
  if (!decoder.options().preemptible)
    fail(Status::bad_request, "a scheduler needs a decoder with DecoderOptions::preemptible");
}

template <class D>
bool Scheduler<D>::IsBefore::operator()(const Entry* a, const Entry* b) const noexcept {
  if (a->schedule.priority != b->schedule.priority) return a->schedule.priority > b->schedule.priority;
  if (a->schedule.deadline != b->schedule.deadline) return a->schedule.deadline < b->schedule.deadline;
  return a->id < b->id;
}

/// O(log of the requests).
template <class D>
template <class P>
RequestId Scheduler<D>::submit_either(const P& prompt, const RequestOptions& options, const ScheduleOptions& schedule) {
  if (std::isnan(schedule.deadline)) fail(Status::bad_request, "a deadline is NaN; it is a time in seconds");
  if (std::cmp_greater_equal(waiting_.size(), options_.max_queued)) return kNoRequest;
  impl::reserve_more(running_, waiting_.size() + 1);
  impl::reserve_more(idle_, entries_.size() + 1);
  std::map<RequestId, Entry> added;  // its nodes go into the tables, which takes no memory
  Entry& entry = added[kNoRequest];
  entry.schedule = schedule;
  entry.keeps_pages = options.prefill_only;
  entry.has_history = options.after != kNoRequest;
  Waiting place;
  place.insert(&entry);
  entry.id = decoder_->submit(prompt, options);
  auto node = added.extract(added.begin());
  node.key() = entry.id;
  entries_.insert(std::move(node));
  waiting_.insert(place.extract(place.begin()));
  next_deadline_ = std::min(next_deadline_, schedule.deadline);
  forget_if_over(entry.id);
  return entry.id;
}

template <class D>
void Scheduler<D>::cancel(RequestId id) {
  decoder_->cancel(id);
  forget_if_over(id);
}

template <class D>
void Scheduler<D>::finish(RequestId id) {
  decoder_->finish(id);
  forget_if_over(id);
}

template <class D>
void Scheduler<D>::release(RequestId id) {
  decoder_->release(id);
  forget_if_over(id);
}

template <class D>
SchedulerState Scheduler<D>::state() const noexcept {
  SchedulerState state = counts_;
  state.n_running = static_cast<std::int32_t>(running_.size());
  state.n_queued = static_cast<std::int32_t>(waiting_.size());
  for (const Entry* entry : running_) {
    state.n_filling += entry->demand.is_filling ? 1 : 0;
    state.n_branching += entry->demand.n_branches > 1 ? 1 : 0;
  }
  return state;
}

template <class D>
DecoderPlan Scheduler<D>::plan(double now) {
  end_late(now);
  forget_ended();
  admit();
  while (true) {
    choose_shares();
    const DecoderPlan planned = decoder_->plan(shares_);
    if (planned) {
      planned_at_ = now;
      pass_.n_rows = planned->n_rows();
      return planned;
    }
    const std::int32_t n_short = planned.shortage().n_pages;
    const std::size_t n_before = entries_.size();
    forget_ended();  // what cannot fit has ended
    if (entries_.empty()) return planned;
    if (entries_.size() < n_before || n_short == 0)
      admit();
    else if (!make_room(n_short))
      return planned;
  }
}

template <class D>
std::span<const Event> Scheduler<D>::commit(const LogitsView& logits, double now) {
  const std::span<const Event> events = decoder_->commit(logits);
  measure(now);
  forget_ended();
  return events;
}

template <class D>
std::span<const Event> Scheduler<D>::commit_sampled(std::span<const TokenId> tokens, double now) {
  const std::span<const Event> events = decoder_->commit_sampled(tokens);
  measure(now);
  forget_ended();
  return events;
}

template <class D>
bool Scheduler<D>::is_over(const Entry& entry) const noexcept {
  return !decoder_->knows(entry.id) || decoder_->reason(entry.id) != EndReason::none;
}

/// Histories that others may go on with are kept in mind: their pages are the first to go.
template <class D>
void Scheduler<D>::note_over(const Entry& entry) noexcept {
  if (entry.keeps_pages || !decoder_->knows(entry.id)) return;
  if (idle_.size() > 2 * n_idle_known_) {
    std::erase_if(idle_, [&](RequestId id) { return !decoder_->knows(id); });
    n_idle_known_ = idle_.size();
  }
  idle_.push_back(entry.id);
}

template <class D>
void Scheduler<D>::forget_if_over(RequestId id) noexcept {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !is_over(found->second)) return;
  Entry& entry = found->second;
  note_over(entry);
  entry.place.empty() ? void(waiting_.erase(&entry)) : void(std::erase(running_, &entry));
  entries_.erase(found);
}

/// Strikes off those that were in passes and are over.
template <class D>
void Scheduler<D>::forget_ended() noexcept {
  std::erase_if(running_, [&](const Entry* entry) {
    if (!is_over(*entry)) return false;
    note_over(*entry);
    entries_.erase(entry->id);
    return true;
  });
}

template <class D>
void Scheduler<D>::end_late(double now) {
  if (now < next_deadline_) return;
  double next = std::numeric_limits<double>::infinity();
  for (auto it = entries_.begin(); it != entries_.end();) {
    const Entry& entry = (it++)->second;
    if (entry.schedule.deadline > now) {
      next = std::min(next, entry.schedule.deadline);
      continue;
    }
    try {
      if (!is_over(entry)) decoder_->finish(entry.id);
    } catch (...) {
      decoder_->cancel(entry.id);  // a markup that fails costs it the history, not the text
    }
    forget_if_over(entry.id);
  }
  next_deadline_ = next;
}

/// Admits requests in the order of their rank for as long as there are pages for what they are about to compute, and
/// time for their tokens. None goes ahead of one that waits, or that one might wait for ever.
template <class D>
void Scheduler<D>::admit() {
  std::int64_t n_left =
      decoder_->cache().n_free_pages() - std::ssize(running_);  // those that run are about to need pages, too
  while (!waiting_.empty()) {
    Entry& entry = **waiting_.begin();
    if (is_over(entry)) {
      forget_if_over(entry.id);
      continue;
    }
    const std::int64_t n_running = std::ssize(running_);
    if (n_running >= options_.max_running || !has_time_for(n_running + 1)) return;
    const std::int64_t n_wanted = n_pages_wanted(entry);
    while (n_wanted > n_left && !idle_.empty()) {
      const std::int32_t n_free = decoder_->cache().n_free_pages();
      evict_idle();
      n_left += decoder_->cache().n_free_pages() - n_free;
    }
    if (n_wanted > n_left && n_running > 0 && n_wanted > n_left + n_pages_below(entry.schedule.priority)) return;
    entry.place = waiting_.extract(waiting_.begin());
    running_.insert(std::upper_bound(running_.begin(), running_.end(), &entry, IsBefore()), &entry);
    n_left -= n_wanted;
  }
}

/// A pass with a row for each of so many requests keeps the target. One has time always.
template <class D>
bool Scheduler<D>::has_time_for(std::int64_t n_running) const {
  if (options_.target_seconds == 0 || n_running <= 1) return true;
  if (!costs_.is_known()) return false;  // the first pass tells
  const auto n_rows = static_cast<std::int32_t>(std::min<std::int64_t>(n_running, decoder_->options().max_rows));
  return costs_.seconds(n_rows, pass_.n_keys) * costs_.p95() <= options_.target_seconds;
}

/// Free pages with which a request should be able to go on for a while.
template <class D>
std::int64_t Scheduler<D>::n_pages_wanted(const Entry& entry) const {
  const std::int64_t page_size = decoder_->cache().n_slots() / decoder_->cache().n_pages();
  const std::int64_t n_known = (decoder_->demand(entry.id).n_rows + page_size - 1) / page_size;
  return std::max<std::int64_t>(n_known, entry.n_pages_lost) + entry.n_pages_short + 1;
}

/// Pages of the requests that have to give way to one of this priority.
template <class D>
std::int64_t Scheduler<D>::n_pages_below(std::int32_t priority) const {
  std::int64_t n = 0;
  for (const Entry* entry : running_)
    if (entry->schedule.priority < priority) n += decoder_->n_pages(entry->id);
  return n;
}

/// Takes the pages of the history that has been waiting longest for another request to go on with it. False: none.
template <class D>
bool Scheduler<D>::evict_idle() {
  while (!idle_.empty()) {
    const RequestId id = idle_.front();
    const bool has_pages = decoder_->knows(id) && decoder_->n_pages(id) > 0;
    if (has_pages) decoder_->preempt(id);
    idle_.erase(idle_.begin());
    if (!has_pages) continue;
    ++counts_.n_evicted;
    return true;
  }
  return false;
}

/// The last in rank that runs, but never the first of them; or one that waits behind it and has pages.
template <class D>
typename Scheduler<D>::Entry* Scheduler<D>::last_with_pages() const {
  Entry* const last = running_.size() > 1 ? running_.back() : nullptr;
  for (auto it = waiting_.rbegin(); it != waiting_.rend(); ++it) {
    if (last != nullptr && IsBefore()(*it, last)) break;
    if ((*it)->has_history && decoder_->n_pages((*it)->id) > 0) return *it;
  }
  return last;
}

/// After a shortage: takes pages away from one request, or leaves it out of the pass. False: there is none.
template <class D>
bool Scheduler<D>::make_room(std::int32_t n_short) {
  if (evict_idle()) return true;
  Entry* const entry = last_with_pages();
  if (entry == nullptr) return false;
  const std::int32_t n_pages = decoder_->n_pages(entry->id);
  decoder_->preempt(entry->id);  // of one that is deferred, what a prefix cache has lent it
  if (n_pages > 0) entry->n_pages_lost = n_pages;
  ++(n_pages > 0 ? counts_.n_preempted : counts_.n_deferred);
  entry->n_pages_short = std::min(n_short, decoder_->cache().n_pages());
  entry->has_history = false;
  if (entry->place.empty()) return true;  // it waits already
  std::erase(running_, entry);
  waiting_.insert(std::move(entry->place));
  entry->demand = {};
  entry->share = 0;
  return true;
}

}  // namespace anabranch
