// Scheduler: the rows of a pass.
#pragma once

#include <algorithm>

#include <anabranch/decode/scheduler.hpp>

namespace anabranch {

/// Without a curve and a target every request has what it can make use of; else what is worth it. Where nobody decodes,
/// prompts delay nobody.
template <class D>
void Scheduler<D>::choose_shares() {
  shares_.clear();
  offers_.clear();
  pass_ = share_what_is_needed();
  offer_rows(pass_.n_rows);
  std::size_t n_taken = offers_.size();
  if (decodes()) {
    if (is_measured()) n_taken = impl::n_offers_taken(offers_, pass_, costs_, options_.target_seconds);
    if (options_.target_seconds > 0 && !costs_.is_known()) n_taken = 0;  // the first pass tells
  }
  for (std::size_t k = 0; k < n_taken; ++k) {
    running_[offers_[k].request]->share += offers_[k].n_rows;
    pass_.n_rows += offers_[k].n_rows;
  }
  allow_drafts();
  for (const Entry* entry : running_)
    if (entry->share > 0) shares_.push_back({entry->id, entry->share});
}

/// Drafts may have what all others leave of a pass, within the target; the decoder feeds those that are worth it.
template <class D>
void Scheduler<D>::allow_drafts() {
  std::int32_t n_left = decoder_->options().max_rows - pass_.n_rows;
  for (Entry* const running : running_) {
    Entry& entry = *running;
    if (entry.share == 0 || entry.demand.is_filling || entry.share < entry.demand.n_rows) continue;
    std::int32_t n = std::min(entry.demand.n_drafts, n_left);
    if (options_.target_seconds > 0 && n > 0 && !costs_.is_known()) return;
    while (options_.target_seconds > 0 && n > 0 &&
           costs_.seconds(pass_.n_rows + n, pass_.n_keys) * costs_.p95() > options_.target_seconds)
      --n;
    if (n <= 0) continue;
    entry.share += n;
    pass_.n_rows += n;
    n_left -= n;
  }
}

/// Some request waits for its next token. Call it behind share_what_is_needed.
template <class D>
bool Scheduler<D>::decodes() const noexcept {
  return std::any_of(running_.begin(), running_.end(), [](const Entry* entry) {
    return entry->share > 0 && !entry->demand.is_filling && !entry->demand.waits_for_prefix;
  });
}

template <class D>
bool Scheduler<D>::is_measured() const noexcept {
  return costs_.is_known() && (options_.target_seconds > 0 || decoder_->row_costs() != nullptr);
}

/// With a target, rows that can be computed in parts are: those of a prompt, and text that is forced on a branch.
template <class D>
std::int32_t Scheduler<D>::most_at_once() const noexcept {
  return options_.target_seconds > 0 ? 1 : kUnlimited;
}

/// Every request that decodes gets what one of its branches needs, or some of it; of those that have known rows to
/// compute the first gets some. So all get on, whatever a pass costs.
template <class D>
impl::PassRows Scheduler<D>::share_what_is_needed() {
  constexpr std::int32_t kLeastChunk = 4;
  impl::PassRows pass;
  bool has_chunk = false;
  std::int64_t n_keys = 0, n_requests = 0;
  for (Entry* const running : running_) {
    Entry& entry = *running;
    entry.share = 0;
    const RequestDemand& demand = entry.demand = decoder_->demand(entry.id);
    if (demand.waits_for_prefix) {
      entry.share = 1;  // so that the decoder looks whether it is there
      continue;
    }
    const std::int32_t n_rows = std::max(demand.n_rows, 1), n_branches = std::max(demand.n_branches, 1);
    if (!demand.is_filling) {
      entry.share = std::min((n_rows + n_branches - 1) / n_branches, most_at_once());
    } else if (!has_chunk) {
      entry.share = std::min({n_rows, kLeastChunk, most_at_once(), decoder_->options().max_rows});
      has_chunk = true;
    }
    pass.n_rows += entry.share;
    pass.n_tokens += demand.is_filling ? entry.share : 1;
    pass.n_decoding += demand.is_filling ? 0 : 1;
    n_keys += demand.n_keys;
    ++n_requests;
  }
  if (n_requests > 0) pass.n_keys = static_cast<std::int32_t>(n_keys / n_requests);
  return pass;
}

/// Rows of a prompt, or of forced text, that are weighed together.
template <class D>
std::int32_t Scheduler<D>::most_offered() const noexcept {
  return options_.target_seconds > 0 ? 4 : kUnlimited;
}

/// Offers further branches, then more of what is known, each in the order of the requests.
template <class D>
void Scheduler<D>::offer_rows(std::int32_t n_rows) {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Entry& entry = *running_[i];
    if (entry.share == 0 || entry.demand.is_filling || entry.demand.waits_for_prefix) continue;
    const std::int32_t n_branches = std::max(entry.demand.n_branches, 1);
    const std::int32_t n_of_one = std::max((entry.demand.n_rows + n_branches - 1) / n_branches, 1);
    const std::int32_t n_at_once = std::min(n_of_one, most_offered());
    for (std::int32_t n_left = entry.demand.n_rows - entry.share; n_left > 0; n_left -= n_at_once) {
      const std::int32_t n = std::min(n_at_once, n_left);
      offers_.push_back({i, n, n < n_of_one ? static_cast<double>(n) : 1.0, true});
      n_rows += n;
    }
  }
  std::int32_t n_left = decoder_->options().max_rows - n_rows;
  for (std::size_t i = 0; i < running_.size(); ++i)
    if (running_[i]->demand.is_filling) offer_chunks(i, n_left);
}

template <class D>
void Scheduler<D>::offer_chunks(std::size_t i, std::int32_t& n_left) {
  constexpr std::int32_t kChunk = 16;
  std::int32_t n_due = running_[i]->demand.n_rows - running_[i]->share;
  while (n_due > 0 && n_left > 0) {
    const std::int32_t n = std::min({n_due, n_left, kChunk, most_offered()});
    offers_.push_back({i, n, static_cast<double>(n), false});
    n_due -= n;
    n_left -= n;
  }
}

/// Learns from a pass that was committed what it cost.
template <class D>
void Scheduler<D>::measure(double now) {
  costs_.add({pass_.n_rows, pass_.n_keys, now - planned_at_});
  decoder_->learn(now - planned_at_);
}

}  // namespace anabranch
