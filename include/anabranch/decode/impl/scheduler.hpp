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

/// By rank.
template <class D>
bool Scheduler<D>::is_before(const Entry& a, const Entry& b) noexcept {
  if (a.schedule.priority != b.schedule.priority) return a.schedule.priority > b.schedule.priority;
  if (a.schedule.deadline != b.schedule.deadline) return a.schedule.deadline < b.schedule.deadline;
  return a.id < b.id;
}

template <class D>
template <class P>
RequestId Scheduler<D>::submit_either(const P& prompt, const RequestOptions& options, const ScheduleOptions& schedule) {
  if (std::isnan(schedule.deadline)) fail(Status::bad_request, "a deadline is NaN; it is a time in seconds");
  if (state().n_queued >= options_.max_queued) return kNoRequest;
  impl::reserve_more(entries_, 1);
  impl::reserve_more(idle_, entries_.size() + 1);
  Entry entry;
  entry.schedule = schedule;
  entry.keeps_pages = options.prefill_only;
  entry.id = decoder_->submit(prompt, options);
  entries_.insert(std::upper_bound(entries_.begin(), entries_.end(), entry, is_before), entry);
  forget_ended();
  return entry.id;
}

template <class D>
void Scheduler<D>::cancel(RequestId id) {
  decoder_->cancel(id);
  forget_ended();
}

template <class D>
void Scheduler<D>::finish(RequestId id) {
  decoder_->finish(id);
  forget_ended();
}

template <class D>
void Scheduler<D>::release(RequestId id) {
  decoder_->release(id);
  forget_ended();
}

template <class D>
SchedulerState Scheduler<D>::state() const noexcept {
  SchedulerState state = counts_;
  for (const Entry& entry : entries_) {
    ++(entry.is_admitted ? state.n_running : state.n_queued);
    state.n_filling += entry.demand.is_filling ? 1 : 0;
    state.n_branching += entry.demand.n_branches > 1 ? 1 : 0;
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

/// Strikes off what is over. Histories that others may go on with are kept in mind: their pages are the first to go.
template <class D>
void Scheduler<D>::forget_ended() {
  std::erase_if(idle_, [&](RequestId id) { return !decoder_->knows(id); });
  std::erase_if(entries_, [&](const Entry& entry) {
    if (!decoder_->knows(entry.id)) return true;
    if (decoder_->reason(entry.id) == EndReason::none) return false;
    if (!entry.keeps_pages) idle_.push_back(entry.id);
    return true;
  });
}

template <class D>
void Scheduler<D>::end_late(double now) {
  for (const Entry& entry : entries_) {
    if (entry.schedule.deadline > now || !decoder_->knows(entry.id)) continue;
    try {
      decoder_->finish(entry.id);
    } catch (...) {
      decoder_->cancel(entry.id);  // a markup that fails costs it the history, not the text
    }
  }
}

/// Admits requests in the order of their rank for as long as there are pages for what they are about to compute, and
/// time for their tokens. None goes ahead of one that waits, or that one might wait for ever.
template <class D>
void Scheduler<D>::admit() {
  std::int64_t n_running = state().n_running;
  std::int64_t n_left = decoder_->cache().n_free_pages() - n_running;  // those that run are about to need pages, too
  for (Entry& entry : entries_) {
    if (entry.is_admitted) continue;
    if (n_running >= options_.max_running || !has_time_for(n_running + 1)) return;
    const std::int64_t n_wanted = n_pages_wanted(entry);
    while (n_wanted > n_left && !idle_.empty()) {
      const std::int32_t n_free = decoder_->cache().n_free_pages();
      evict_idle();
      n_left += decoder_->cache().n_free_pages() - n_free;
    }
    if (n_wanted > n_left && n_running > 0 && n_wanted > n_left + n_pages_below(entry.schedule.priority)) return;
    entry.is_admitted = true;
    ++n_running;
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
  for (const Entry& entry : entries_)
    if (entry.is_admitted && entry.schedule.priority < priority) n += decoder_->n_pages(entry.id);
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

/// After a shortage: takes pages away from, or leaves out of the pass, the last one in rank that has or wants any, but
/// never the first that was admitted. False: that one is alone.
template <class D>
bool Scheduler<D>::make_room(std::int32_t n_short) {
  if (evict_idle()) return true;
  const auto first = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.is_admitted; });
  for (std::size_t i = entries_.size(); i-- > 0;) {
    Entry& entry = entries_[i];
    if (&entry == &*first) continue;
    const std::int32_t n_pages = decoder_->n_pages(entry.id);
    if (n_pages == 0 && !entry.is_admitted) continue;
    if (n_pages > 0) {
      decoder_->preempt(entry.id);
      entry.n_pages_lost = n_pages;
      ++counts_.n_preempted;
    } else {
      decoder_->preempt(entry.id);  // what a prefix cache has lent it
      ++counts_.n_deferred;
    }
    entry.n_pages_short = std::min(n_short, decoder_->cache().n_pages());
    entry.is_admitted = false;
    return true;
  }
  return false;
}

}  // namespace anabranch
