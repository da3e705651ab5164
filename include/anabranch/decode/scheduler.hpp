// Scheduler: continuous batching over a Decoder: which requests have rows in the next pass, and how many.
//
//   Scheduler scheduler{decoder, {.max_queued = 1000, .target_seconds = 0.05}};
//   if (scheduler.submit(prompt, {}, {.priority = 1, .deadline = now() + 20}) == kNoRequest) come_again_later();
//   while (scheduler.has_work()) {
//     auto plan = scheduler.plan(now());
//     if (!plan) break;  // pages of others than its requests are in the way, or no work
//     const LogitsView logits = my_model(*plan);  // failed: scheduler.abort()
//     for (const Event& event : scheduler.commit(logits, now())) show(event);
//   }
//
// Requests in any phase share each pass: parts of prompts, serial text, branches of any depth. When pages are short a
// request is preempted: its pages go, and what they held is computed again later; its text is the same. The first in
// rank is never preempted and has rows in every pass, so there is always one that gets on. It does no input or output:
// the time is told by the caller, in seconds on any clock that does not go back. One thread at a time; for threads
// scheduler_front.hpp. docs/serving.md says how it decides. A call that throws has changed nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/impl/row_offers.hpp>
#include <anabranch/decode/running_row_costs.hpp>

namespace anabranch {

/// When a request is to be served. Its limits are in RequestOptions.
struct ScheduleOptions {
  std::int32_t priority = 0;  ///< higher ones first; of equals the earlier deadline, then the older
  double deadline = std::numeric_limits<double>::infinity();  ///< then it ends, `cancelled`, with what is written
};

struct SchedulerOptions {
  std::int32_t max_queued = kUnlimited;   ///< requests that wait for pages; `submit` refuses more
  std::int32_t max_running = kUnlimited;  ///< requests that have pages at one time, >= 1
  /// Seconds that a token of a request may take; 0: no target. In 95 of 100 passes each request that decodes gets a
  /// token in this time; one that decodes alone may get two in twice the time, and so on. Requests wait to be admitted
  /// until the pass has room for their rows; rows that the admitted ones need to get on are in the pass all the same. A
  /// pass in which nobody waits for a token takes prompts up to the decoder's max_rows.
  double target_seconds = 0;
};

struct SchedulerState {
  std::int32_t n_running = 0;    ///< requests that were admitted to the passes
  std::int32_t n_queued = 0;     ///< those that wait for pages, preempted ones too
  std::int32_t n_filling = 0;    ///< in the last plan: requests whose prompts, or what they had lost, are computed
  std::int32_t n_branching = 0;  ///< likewise: those with more than one branch
  std::int64_t n_preempted = 0;  ///< times that a request lost its pages, so far
  std::int64_t n_evicted = 0;    ///< times that a request that is over lost those of its history
  std::int64_t n_deferred = 0;   ///< times that a request had to wait although it had been admitted
};

/// `D` is a Decoder. It may be read at any time; requests that were not submitted here take part in no pass.
template <class D>
class Scheduler {
 public:
  /// Throws bad_request when an option makes no sense or the decoder's requests are not `preemptible`. The decoder must
  /// outlive it.
  explicit Scheduler(D& decoder, SchedulerOptions options = {});

  /// As Decoder::submit; kNoRequest: the queue is full. Throws what that throws, bad_request for a deadline that is
  /// NaN.
  RequestId submit(std::span<const TokenId> prompt, const RequestOptions& options = {},
                   const ScheduleOptions& schedule = {}) {
    return submit_either(prompt, options, schedule);
  }
  RequestId submit(const StructuredPrompt& prompt, const RequestOptions& options = {},
                   const ScheduleOptions& schedule = {}) {
    return submit_either(prompt, options, schedule);
  }
  /// As those of the decoder. Release requests that nobody goes on with: until then their histories take pages, which
  /// are the first to go when pages are short.
  void cancel(RequestId id);
  void finish(RequestId id);
  void release(RequestId id);
  bool has_work() const noexcept { return !entries_.empty(); }

  /// The next pass. False with a shortage: pages that are no request's are missing; release some, then plan again.
  /// Without: there is no work. Requests whose deadline is over end first. Throws as Decoder::plan.
  [[nodiscard]] DecoderPlan plan(double now);
  /// As those of the decoder. What passed since `plan` is what the pass cost.
  std::span<const Event> commit(const LogitsView& logits, double now);
  std::span<const Event> commit_sampled(std::span<const TokenId> tokens, double now);
  void abort() noexcept { decoder_->abort(); }
  /// Events that no commit has returned yet.
  std::vector<Event> take_events() { return decoder_->take_events(); }

  SchedulerState state() const noexcept;
  const RunningRowCosts& row_costs() const noexcept { return costs_; }
  const D& decoder() const noexcept { return *decoder_; }

 private:
  struct Entry;
  /// By rank.
  struct IsBefore {
    bool operator()(const Entry* a, const Entry* b) const noexcept;
  };
  using Waiting = std::set<Entry*, IsBefore>;
  /// A request that is not over.
  struct Entry {
    RequestId id = kNoRequest;
    ScheduleOptions schedule;
    bool keeps_pages = false;           ///< its sequence is for others: RequestOptions::prefill_only
    bool has_history = false;           ///< it waits, perhaps with pages: those of the request that it goes on with
    typename Waiting::node_type place;  ///< its own in waiting_, while it runs
    std::int32_t n_pages_lost = 0;      ///< that it had when it was preempted
    std::int32_t n_pages_short = 0;     ///< that it was short of when it was deferred
    RequestDemand demand;               ///< of the plan that is made
    std::int32_t share = 0;             ///< likewise
  };
  // impl/scheduler.hpp
  template <class P>
  RequestId submit_either(const P& prompt, const RequestOptions& options, const ScheduleOptions& schedule);
  bool is_over(const Entry& entry) const noexcept;
  void note_over(const Entry& entry) noexcept;
  void forget_if_over(RequestId id) noexcept;
  void forget_ended() noexcept;
  void end_late(double now);
  void admit();
  bool has_time_for(std::int64_t n_running) const;
  std::int64_t n_pages_wanted(const Entry& entry) const;
  std::int64_t n_pages_below(std::int32_t priority) const;
  bool evict_idle();
  Entry* last_with_pages() const;
  bool make_room(std::int32_t n_short);
  // impl/scheduler_rows.hpp
  void choose_shares();
  impl::PassRows share_what_is_needed();
  std::int32_t most_at_once() const noexcept;
  std::int32_t most_offered() const noexcept;
  void offer_rows(std::int32_t n_rows);
  void offer_chunks(std::size_t i, std::int32_t& n_left);
  void allow_drafts();
  bool decodes() const noexcept;
  bool is_measured() const noexcept;
  void measure(double now);

  D* decoder_;
  SchedulerOptions options_;
  RunningRowCosts costs_;
  std::map<RequestId, Entry> entries_;
  Waiting waiting_;                                                 // of them, those that were not admitted
  std::vector<Entry*> running_;                                     // the others, by rank
  double next_deadline_ = std::numeric_limits<double>::infinity();  // no request has an earlier one
  std::vector<RequestId> idle_;         // over, with their histories in the cache; the one that is so longest first
  std::size_t n_idle_known_ = 0;        // of idle_, when it was rid of those that had been released
  std::vector<RequestShare> shares_;    // of the plan that is made
  std::vector<impl::RowOffer> offers_;  // likewise
  impl::PassRows pass_;                 // of the open plan
  double planned_at_ = 0;
  SchedulerState counts_;
};

}  // namespace anabranch

#include <anabranch/decode/impl/scheduler.hpp>
#include <anabranch/decode/impl/scheduler_rows.hpp>
