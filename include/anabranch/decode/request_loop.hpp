// RequestLoop: answers prompts with a decoder and a model, some requests at a time, and measures the time.
//
// For runners of models: torch::generate and llama::generate are a RequestLoop behind a chat template.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/decode/impl/named_concepts.hpp>

namespace anabranch {

/// A model with a cache of its own that must know how each pass ended.
template <class M>
concept NotifiedModel = requires(M& model) {
  model.committed();
  model.aborted();
};

/// Pages that `max_requests` answers at once can need: for the prompt, for what is sampled, for forced tags and titles,
/// and for every branch a page that it does not fill. REQUIRES: `options.request.max_tokens` is set.
inline std::int32_t pages_for(std::size_t longest_prompt, const GenerateOptions& options, std::int32_t page_size) {
  const std::int64_t forced = 64 + std::int64_t{options.max_branches} * 64;
  const std::int64_t slots = static_cast<std::int64_t>(longest_prompt) + options.request.max_tokens + forced;
  const std::int64_t pages = slots / page_size + 2 * (options.max_branches + 4);
  return static_cast<std::int32_t>(std::min<std::int64_t>(pages * std::max(1, options.max_requests), 1 << 20));
}

/// `M` is the runner's model; the others are the decoder's.
template <Model M, Markup Tags, Detokenizer Text, SamplerLike S = Sampler, DecoderCache Cache = KvCache>
class RequestLoop {
 public:
  using Prompts = std::vector<std::vector<TokenId>>;
  /// A prompt with options of its own.
  struct Request {
    std::vector<TokenId> prompt;
    RequestOptions options;
    /// Not null: gets the request's id, and the request is not released when it has ended: another can go on with it.
    RequestId* keep = nullptr;
  };
  /// Of the options it reads `request`, `max_requests`, the callbacks, `stop` and `deadline`. All arguments must
  /// outlive it.
  RequestLoop(M& model, Cache& cache, Decoder<Tags, Text, S, Cache>& decoder, const GenerateOptions& options)
      : model_(model), cache_(cache), decoder_(decoder), options_(options) {}

  /// The prompts share the options' seed; the k-th draws its random numbers as number `Sampling::number` + k, so that
  /// the same prompt twice is answered twice, and the first one's answer is that of the prompt alone.
  /// Throws bad_request for `max_requests` below 1, no_room when the answers of one time do not fit together, and what
  /// model and decoder throw. When it is stopped, answers end with what they have, those that were not begun without
  /// text, all with reason cancelled.
  std::vector<Answer> run(const Prompts& prompts) {
    std::vector<Answer> answers(prompts.size());
    run(
        prompts.size(),
        [&](std::size_t index) {
          Request request{prompts[index], options_.request};
          request.options.sampling.number += index;
          return request;
        },
        [&](std::size_t index, Answer&& answer) { answers[index] = std::move(answer); });
    return answers;
  }
  /// The same for `n` requests: `request_of` makes one when its turn has come, `done` gets its answer as soon as it has
  /// ended. Both may throw; the answers that are not done are lost then.
  void run(std::size_t n, const std::function<Request(std::size_t index)>& request_of,
           const std::function<void(std::size_t index, Answer&&)>& done) {
    done_ = done;
    stopped_ = false;
    const std::int32_t n_most = options_.max_requests;
    impl::check_count(n_most, 1, "max_requests");
    std::size_t next = 0;
    while ((next < n || decoder_.has_work()) && !must_stop()) {
      for (; next < n && std::ssize(running_) < n_most; ++next) submit(request_of(next), next);
      one_pass();
    }
    take(decoder_.take_events());
    if (!running_.empty()) stop_all();
    for (; next < n; ++next) {
      Answer none;
      none.reason = EndReason::cancelled;
      done_(next, std::move(none));
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  /// A running request: its number, what is known of its answer, and its clock.
  struct Running {
    std::size_t index = 0;
    Answer answer = {};
    Clock::time_point begin;
    std::int32_t n_open_blocks = 0;
    std::int32_t n_prefill = 0;
    bool keep = false;
  };

  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  void submit(const Request& request, std::size_t index) {
    const RequestId id = decoder_.submit(request.prompt, request.options);
    running_[id] = {.index = index, .begin = Clock::now(), .keep = request.keep != nullptr};
    if (request.keep != nullptr) *request.keep = id;
  }

  bool must_stop() const {
    return stopped_ || options_.stop.stop_requested() || (options_.deadline && Clock::now() >= *options_.deadline);
  }

  /// Ends what runs. A markup that fails while it closes branches costs its answer the history, not the text.
  void stop_all() {
    for (const auto& [id, running] : running_) {
      try {
        decoder_.finish(id);
      } catch (...) {
        decoder_.cancel(id);
      }
    }
    take(decoder_.take_events());
  }

  void one_pass() {
    const Clock::time_point begin = Clock::now();
    const DecoderPlan plan = decoder_.plan();
    if (!plan) {
      take(decoder_.take_events());
      if (plan.shortage().n_pages == 0) return;
      fail(Status::no_room, "the answers need ", plan.shortage().n_pages, " more pages than the ", cache_.n_pages(),
           " of the cache; raise n_pages or lower max_requests");
    }
    std::span<const Event> events;
    try {
      const LogitsView logits = model_(*plan);
      events = decoder_.commit(logits);
    } catch (...) {
      decoder_.abort();
      if constexpr (NotifiedModel<M>) model_.aborted();
      throw;
    }
    if constexpr (NotifiedModel<M>) model_.committed();
    const double seconds = seconds_since(begin);
    decoder_.learn(seconds);
    charge(seconds);
    take(events);
    take(decoder_.take_events());
    if (options_.on_pass() == Proceed::stop) stopped_ = true;
  }

  /// Adds the time of a pass to the answers that it was for.
  void charge(double seconds) {
    for (auto& [id, running] : running_) {
      Answer& answer = running.answer;
      const std::int32_t n_prefill = decoder_.statistics(id).n_prefill;
      if (n_prefill > running.n_prefill) answer.prefill_seconds += seconds;
      running.n_prefill = n_prefill;
      if (running.n_open_blocks > 0) answer.parallel_seconds += seconds;
    }
  }

  void take(std::span<const Event> events) {
    for (const Event& event : events) {
      if (options_.on_event(event) == Proceed::stop) stopped_ = true;
      const auto found = running_.find(event.request);
      if (found == running_.end()) continue;
      Running& running = found->second;
      Answer& answer = running.answer;
      const bool in_branch = event.branch != kTrunk && event.kind == Event::Kind::token;
      if (in_branch && event.role == markup::Role::text && event.source == Source::sampled) ++answer.n_parallel_tokens;
      if (event.kind == Event::Kind::fork && !event.titles.empty()) ++running.n_open_blocks;
      if (event.kind == Event::Kind::join) --running.n_open_blocks;
      if (event.kind == Event::Kind::end) finish(event.request, running, event);
    }
    for (const RequestId id : std::exchange(ended_, {})) {
      Running ended = std::move(running_.extract(id).mapped());
      if (!ended.keep) decoder_.release(id);  // its pages are free for the next prompt
      done_(ended.index, std::move(ended.answer));
    }
  }

  void finish(RequestId id, Running& running, const Event& end) {
    Answer& answer = running.answer;
    answer.seconds = seconds_since(running.begin);
    answer.reason = end.reason;
    answer.statistics = end.statistics;
    Branch trunk = decoder_.branch(id, kTrunk);
    answer.text = std::move(trunk.text);
    answer.tokens = std::move(trunk.tokens);
    answer.log_probabilities = std::move(trunk.log_probabilities);
    answer.likeliest = std::move(trunk.likeliest);
    for (BranchIndex i = 1; i <= decoder_.n_branches(id); ++i) {
      answer.branches.push_back(decoder_.branch(id, i));
      answer.branches.back().sequence = kNoSequence;  // the request is about to be released
    }
    ended_.push_back(id);
  }

  M& model_;
  Cache& cache_;
  Decoder<Tags, Text, S, Cache>& decoder_;
  const GenerateOptions& options_;
  std::function<void(std::size_t index, Answer&&)> done_;
  std::map<RequestId, Running> running_;
  std::vector<RequestId> ended_;
  bool stopped_ = false;  ///< by a callback
};

template <class M, Markup Tags, Detokenizer Text, SamplerLike S, DecoderCache Cache>
RequestLoop(M&, Cache&, Decoder<Tags, Text, S, Cache>&, const GenerateOptions&)
    -> RequestLoop<typename impl::NamedModel<M>::Type, Tags, Text, S, Cache>;

}  // namespace anabranch
