#include <anabranch/torch/engine.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <variant>

#include <anabranch/cache/prefix_cache.hpp>
#include <anabranch/error.hpp>
#include <anabranch/hf/prompt.hpp>

#include "generate_setup.hpp"

namespace anabranch::torch {
namespace {

constexpr std::size_t kPassesKept = 256;

/// The passes so far, for other threads to look at.
class PassLog {
 public:
  void add(PassRecord pass, EngineState state) {
    const std::lock_guard lock(mutex_);
    pass.number = ++state_.n_passes;
    state.n_passes = pass.number;
    state.n_rows = state_.n_rows + pass.n_rows;
    state.pass_seconds = state_.pass_seconds + pass.seconds;
    state_ = state;
    passes_.push_back(std::move(pass));
    if (passes_.size() > kPassesKept) passes_.pop_front();
  }
  /// Nothing was run, but requests may have come and gone.
  void set(EngineState state) {
    const std::lock_guard lock(mutex_);
    state.n_passes = state_.n_passes;
    state.n_rows = state_.n_rows;
    state.pass_seconds = state_.pass_seconds;
    state_ = state;
  }
  EngineState state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  std::vector<PassRecord> behind(std::int64_t number) const {
    const std::lock_guard lock(mutex_);
    const auto first =
        std::find_if(passes_.begin(), passes_.end(), [&](const auto& pass) { return pass.number > number; });
    return {first, passes_.end()};
  }

 private:
  mutable std::mutex mutex_;
  EngineState state_;
  std::deque<PassRecord> passes_;
};

CacheOptions options_of_cache(const CausalLm& model, const EngineOptions& options) {
  CacheOptions result;
  result.max_position = model.config().max_positions;
  if (options.n_tokens < result.page_size)
    fail(Status::bad_argument, "n_tokens is ", options.n_tokens, ", must be ", result.page_size, " or more");
  result.n_pages = options.n_tokens / result.page_size;
  return result;
}

/// The loop over the passes, whatever the markup.
class Passes {
 public:
  Passes(const CausalLm& model, const EngineOptions& options)
      : model_(model.with_own_slots()), cache_(options_of_cache(model, options)) {}
  Passes(const Passes&) = delete;
  Passes& operator=(const Passes&) = delete;
  virtual ~Passes() = default;

  /// Runs passes until the front is closed; for a thread of its own.
  virtual void run() = 0;
  virtual Ticket submit(Prompt prompt, RequestOptions options, const ScheduleOptions& schedule) = 0;
  virtual std::optional<Event> next_event(Ticket ticket) = 0;
  virtual std::optional<TicketEvent> next_event(std::span<const Ticket> tickets,
                                                std::chrono::steady_clock::time_point until) = 0;
  virtual void cancel(Ticket ticket) = 0;
  virtual void finish(Ticket ticket) = 0;
  virtual void release(Ticket ticket) = 0;
  virtual void release_closed(Ticket ticket, TokenId token) = 0;
  virtual std::optional<StructuredPrompt> history(Ticket ticket) = 0;
  virtual std::int32_t n_open() const = 0;
  virtual void close() = 0;
  const PassLog& log() const noexcept { return log_; }

 protected:
  CausalLm model_;
  KvCache cache_;
  PassLog log_;
};

template <Markup M>
class PassesOf final : public Passes {
 public:
  PassesOf(const CausalLm& model, const EngineOptions& options, M markup)
      : Passes(model, options),
        prefixes_(cache_),
        drafts_(impl::drafts(options.generate)),
        decoder_(cache_, std::move(markup), model.text().tokenizer, decoder_options(model, options.generate)),
        scheduler_(decoder_, options.schedule),
        front_(scheduler_, options.max_open) {
    decoder_.use(&prefixes_);
    decoder_.draft_with(drafts_.get());
    note_state();
  }

  void run() override {
    const auto timed = [this](const StepPlan& plan) {
      begin_ = std::chrono::steady_clock::now();
      n_rows_ = plan.n_rows();
      return model_(plan);
    };
    while (!front_.is_closed()) {
      switch (front_.run_pass(timed, [this] { note_pass(); })) {
        case PassOutcome::ran: break;
        case PassOutcome::no_room: fail(Status::internal, "the requests are short of pages that none of them has");
        case PassOutcome::no_work:
          note_state();
          front_.wait_for_work();
          break;
      }
    }
  }
  Ticket submit(Prompt prompt, RequestOptions options, const ScheduleOptions& schedule) override {
    return front_.submit(std::move(prompt), std::move(options), schedule);
  }
  std::optional<Event> next_event(Ticket ticket) override { return front_.next_event(ticket); }
  std::optional<TicketEvent> next_event(std::span<const Ticket> tickets,
                                        std::chrono::steady_clock::time_point until) override {
    return front_.next_event(tickets, until);
  }
  void cancel(Ticket ticket) override { front_.cancel(ticket); }
  void finish(Ticket ticket) override { front_.finish(ticket); }
  void release(Ticket ticket) override { front_.release(ticket); }
  void release_closed(Ticket ticket, TokenId token) override { front_.release_closed(ticket, token); }
  std::optional<StructuredPrompt> history(Ticket ticket) override { return front_.history(ticket); }
  std::int32_t n_open() const override { return front_.n_open(); }
  void close() override { front_.close(); }

 private:
  static DecoderOptions decoder_options(const CausalLm& model, const GenerateOptions& options) {
    DecoderOptions result = impl::decoder_options(model, options);
    result.preemptible = true;
    return result;
  }
  EngineState state() const {
    EngineState state;
    state.scheduler = scheduler_.state();
    state.n_pages = cache_.n_pages();
    state.n_free_pages = cache_.n_free_pages();
    state.page_size = cache_.page_size();
    state.prefixes = prefixes_.statistics();
    state.n_kept_pages = n_kept_pages_;
    return state;
  }
  void note_state() {
    n_kept_pages_ = prefixes_.n_pages();
    log_.set(state());
  }
  /// Before the pass's events are told: who has the last event of a request finds its passes counted.
  void note_pass() {
    constexpr std::int64_t kOften = 64;  // counting the pages that are kept looks at all of them
    if (++n_noted_ % kOften == 0) n_kept_pages_ = prefixes_.n_pages();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
    const std::span<const RequestShare> rows = decoder_.rows();
    log_.add({0, took.count(), n_rows_, {rows.begin(), rows.end()}}, state());
  }

  PrefixCache<> prefixes_;
  std::unique_ptr<impl::CopyDrafts> drafts_;
  Decoder<M, hf::Tokenizer> decoder_;
  Scheduler<Decoder<M, hf::Tokenizer>> scheduler_;
  SchedulerFront<Scheduler<Decoder<M, hf::Tokenizer>>> front_;
  std::chrono::steady_clock::time_point begin_;
  std::int32_t n_rows_ = 0;
  std::int64_t n_noted_ = 0;
  std::int32_t n_kept_pages_ = 0;
};

/// The engine's options for what a request leaves open.
RequestOptions filled(const CausalLm& model, GenerateOptions options, RequestOptions request) {
  const RequestOptions defaults = impl::filled(model, options).request;
  const auto take = [](std::int32_t& limit, std::int32_t value) {
    if (limit == kNone) limit = value;
  };
  take(request.max_tokens, defaults.max_tokens);
  take(request.max_branch_tokens, defaults.max_branch_tokens);
  take(request.max_parallel_branches, defaults.max_parallel_branches);
  take(request.no_repeat_ngram, defaults.no_repeat_ngram);
  const Sampling sampling = request.sampling.or_else(defaults.sampling.or_else());
  request.sampling = {sampling.temperature,
                      sampling.top_k,
                      sampling.top_p,
                      sampling.min_p,
                      sampling.repetition_penalty,
                      sampling.frequency_penalty,
                      sampling.presence_penalty,
                      sampling.seed,
                      sampling.number};
  options.request = std::move(request);
  options.model_defaults = false;
  return impl::filled(model, std::move(options)).request;  // checks it
}

/// Where the answer to a prompt begins.
WidePosition end_of(const std::vector<TokenId>& prompt) { return std::ssize(prompt); }
WidePosition end_of(const StructuredPrompt& prompt) { return prompt.next_position(); }

}  // namespace

struct Engine::Impl {
  Impl(const CausalLm& m, const EngineOptions& o)
      : model(m),
        generate(o.generate),
        passes(impl::with_markup(m, o.generate,
                                 [&](auto markup) -> std::unique_ptr<Passes> {
                                   EngineOptions options = o;
                                   options.generate = impl::filled(m, o.generate);
                                   return std::make_unique<PassesOf<decltype(markup)>>(m, options, std::move(markup));
                                 })),
        loop([this] { run(); }) {}
  ~Impl() { passes->close(); }

  void run() noexcept {
    try {
      passes->run();
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    passes->close();
  }
  void check_failure() const {
    const std::lock_guard lock(mutex);
    if (failure) std::rethrow_exception(failure);
  }
  Prompt prompt_of(EngineRequest& request) const;
  /// Before the front forgets it: finish_all must not meet a ticket that is not there any more.
  void forget(Ticket ticket) {
    const std::lock_guard lock(mutex);
    tickets.erase(ticket);
  }

  const CausalLm& model;
  const GenerateOptions generate;
  std::unique_ptr<Passes> passes;
  mutable std::mutex mutex;
  std::exception_ptr failure;  // that ended the loop
  std::set<Ticket> tickets;    // that are not released
  std::jthread loop;           // the last: it uses the others
};

Prompt Engine::Impl::prompt_of(EngineRequest& request) const {
  Prompt prompt = std::move(request.prompt);
  if (!request.messages.empty()) {
    const hf::ModelText& text = model.text();
    prompt = hf::encode_chat(text.tokenizer, text.chat, impl::with_system(generate, std::move(request.messages)),
                             request.render);
  }
  const WidePosition end = std::visit([](const auto& of) { return end_of(of); }, prompt);
  const Position limit = model.config().max_positions;
  if (end >= limit)
    fail(Status::out_of_range, "the prompt has ", end, " tokens, which leaves no room for an answer: the model has ",
         limit, " positions");
  return prompt;
}

Engine::Engine(const CausalLm& model, const EngineOptions& options) { impl_ = std::make_unique<Impl>(model, options); }
Engine::~Engine() = default;

Ticket Engine::submit(EngineRequest request) {
  impl_->check_failure();
  Prompt prompt = impl_->prompt_of(request);
  RequestOptions options = filled(impl_->model, impl_->generate, std::move(request.options));
  options.after = kNoRequest;
  options.prefix = kNoSequence;
  const std::lock_guard lock(impl_->mutex);
  const Ticket ticket = impl_->passes->submit(std::move(prompt), std::move(options), request.schedule);
  if (ticket != kNoTicket) impl_->tickets.insert(ticket);
  return ticket;
}

std::optional<Event> Engine::next_event(Ticket ticket) {
  std::optional<Event> event = impl_->passes->next_event(ticket);
  if (!event) impl_->check_failure();
  return event;
}

std::optional<TicketEvent> Engine::next_event(std::span<const Ticket> tickets,
                                              std::chrono::steady_clock::time_point until) {
  std::optional<TicketEvent> event = impl_->passes->next_event(tickets, until);
  if (!event) impl_->check_failure();
  return event;
}

void Engine::cancel(Ticket ticket) { impl_->passes->cancel(ticket); }

void Engine::release(Ticket ticket) {
  impl_->forget(ticket);
  impl_->passes->release(ticket);
}

void Engine::release_closed(Ticket ticket, TokenId token) {
  impl_->forget(ticket);
  impl_->passes->release_closed(ticket, token);
}

std::optional<StructuredPrompt> Engine::history(Ticket ticket) const { return impl_->passes->history(ticket); }

void Engine::finish_all() {
  const std::lock_guard lock(impl_->mutex);
  for (const Ticket ticket : impl_->tickets) impl_->passes->finish(ticket);
}

std::int32_t Engine::n_open() const { return impl_->passes->n_open(); }
EngineState Engine::state() const { return impl_->passes->log().state(); }
std::vector<PassRecord> Engine::passes(std::int64_t after) const { return impl_->passes->log().behind(after); }
const CausalLm& Engine::model() const noexcept { return impl_->model; }

}  // namespace anabranch::torch
