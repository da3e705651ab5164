#include <anabranch/torch/conversation.hpp>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <anabranch/decode/request_loop.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/torch/generate.hpp>

#include "generate_setup.hpp"

namespace anabranch::torch {
namespace {

CacheOptions options_of_history(const CausalLm& model, GenerateOptions options) {
  CacheOptions result;
  result.max_position = model.config().max_positions;
  options.max_requests = 1;
  const std::int32_t n_tokens = std::min(kConversationTokens, model.config().max_positions);
  const std::int32_t n_prompt = std::max(0, n_tokens - options.request.max_tokens);
  result.n_pages =
      options.n_pages > 0 ? options.n_pages : pages_for(static_cast<std::size_t>(n_prompt), options, result.page_size);
  return result;
}

/// The runner, and the rows of its passes.
struct CountedModel {
  CausalLm runner;
  std::int32_t n_rows = 0;
  LogitsView operator()(const StepPlan& plan) {
    n_rows += plan.n_rows();
    return runner(plan);
  }
};

/// The cache and its decoder, whatever the markup.
class Turns {
 public:
  explicit Turns(const CacheOptions& options) : cache_(options) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  virtual ~Turns() = default;

  const KvCache& cache() const noexcept { return cache_; }
  /// A request that feeds what request `after` has left to feed, and `token`.
  virtual RequestId submit_closing(TokenId token, RequestId after) = 0;
  /// Runs passes until the request is over. It stays as it is when a pass throws.
  virtual EndReason complete(RequestId id, CountedModel& model) = 0;
  /// Answers; sets `id` as soon as there is a request, which is not released.
  virtual Answer answer(std::vector<TokenId> prompt, const RequestOptions& request, const GenerateOptions& options,
                        CountedModel& model, RequestId& id) = 0;
  virtual void release(RequestId id) = 0;
  virtual SequenceId sequence(RequestId id) const = 0;

 protected:
  KvCache cache_;
};

template <Markup M>
class TurnsOf final : public Turns {
 public:
  TurnsOf(const CausalLm& model, const GenerateOptions& options, M markup)
      : Turns(options_of_history(model, options)),
        drafts_(impl::drafts(options)),
        decoder_(cache_, std::move(markup), model.text().tokenizer, impl::decoder_options(model, options)) {
    decoder_.draft_with(drafts_.get());
  }

  RequestId submit_closing(TokenId token, RequestId after) override {
    return decoder_.submit({token}, {.after = after, .prefill_only = true});
  }
  EndReason complete(RequestId id, CountedModel& model) override {
    while (decoder_.reason(id) == EndReason::none) {
      const DecoderPlan plan = decoder_.plan();
      if (!plan) {
        if (plan.shortage().n_pages == 0) continue;
        fail(Status::no_room, "the end of the last answer needs ", plan.shortage().n_pages, " more pages than the ",
             cache_.n_pages(), " of the cache: reset the conversation, or give it more n_pages");
      }
      try {
        decoder_.commit(model(*plan));
      } catch (...) {
        decoder_.abort();
        throw;
      }
    }
    decoder_.take_events();
    return decoder_.reason(id);
  }
  Answer answer(std::vector<TokenId> prompt, const RequestOptions& request, const GenerateOptions& options,
                CountedModel& model, RequestId& id) override {
    Answer result;
    RequestLoop loop(model, cache_, decoder_, options);
    loop.run(
        1,
        [&](std::size_t) {
          return typename decltype(loop)::Request{std::move(prompt), request, &id};
        },
        [&](std::size_t, Answer&& answer) { result = std::move(answer); });
    return result;
  }
  void release(RequestId id) override { decoder_.release(id); }
  SequenceId sequence(RequestId id) const override { return decoder_.branch(id, kTrunk).sequence; }

 private:
  std::unique_ptr<impl::CopyDrafts> drafts_;
  Decoder<M, hf::Tokenizer> decoder_;
};

}  // namespace

struct Conversation::Impl {
  Impl(const CausalLm& m, const GenerateOptions& o, std::vector<hf::Message> chat)
      : model{m.with_own_slots()},
        options(impl::filled(m, o)),
        n_branches(o.markup.value_or(m.text().markup.markup) == MarkupKind::serial ? 0 : o.max_branches),
        messages(impl::with_system(options, std::move(chat))),
        turns(impl::with_markup(model.runner, options, [&](auto markup) -> std::unique_ptr<Turns> {
          return std::make_unique<TurnsOf<decltype(markup)>>(model.runner, options, std::move(markup));
        })) {}

  Answer ask(std::string_view question);
  Answer answer(std::vector<TokenId> prompt, std::int32_t max_tokens, RequestId& id);
  std::int32_t room_for(std::size_t n_prompt, std::int32_t n_pages) const;
  void close_answer(TokenId closing);
  void forget();
  bool is_in_cache() const noexcept { return last != kNoRequest; }

  CountedModel model;
  GenerateOptions options;
  std::int32_t n_branches;  ///< of a block at most
  std::vector<hf::Message> messages;
  std::unique_ptr<Turns> turns;
  RequestId last = kNoRequest;  ///< its history is the conversation's; none: nothing is in the cache
  bool closed = false;          ///< the history has the token that ends the last answer, or the request is to feed it
  TurnStatistics turn;
};

/// Gives the history up. The messages stay, and are computed anew when they are needed.
void Conversation::Impl::forget() {
  closed = false;
  if (is_in_cache()) turns->release(std::exchange(last, kNoRequest));
}

/// Tokens that an answer to a prompt of `n_prompt` tokens may sample, so that it cannot run short of so many pages.
std::int32_t Conversation::Impl::room_for(std::size_t n_prompt, std::int32_t n_pages) const {
  GenerateOptions least;
  least.request.max_tokens = 0;
  least.max_branches = n_branches;
  least.max_requests = 1;
  const std::int32_t page_size = turns->cache().page_size();
  const std::int32_t n_needed = pages_for(n_prompt, least, page_size) + 1;
  const std::int32_t n_left = n_pages - n_needed;
  if (n_left < 1)
    fail(Status::no_room, "a turn of ", n_prompt, " prompt tokens needs ", n_needed + 1, " pages; ", n_pages,
         " of the conversation's ", turns->cache().n_pages(),
         " are free: reset it, ask something shorter, or give it more n_pages");
  return n_left * page_size;
}

/// Feeds what the last answer has not fed, and the token that ends it, so that its sequence can be a prefix.
void Conversation::Impl::close_answer(TokenId closing) {
  if (!closed) {
    const RequestId closes = turns->submit_closing(closing, last);
    turns->release(std::exchange(last, closes));
    closed = true;
  }
  if (const EndReason reason = turns->complete(last, model); reason != EndReason::limit) {
    forget();
    fail(Status::no_room, "the end of the last answer could not be computed: ", reason_name(reason));
  }
}

Answer Conversation::Impl::answer(std::vector<TokenId> prompt, std::int32_t max_tokens, RequestId& id) {
  RequestOptions request = impl::filled(model.runner, options).request;
  request.max_tokens = std::min(request.max_tokens, max_tokens);
  request.after = kNoRequest;
  request.prefix = is_in_cache() ? turns->sequence(last) : kNoSequence;
  const Position begin = is_in_cache() ? turns->cache().next_position(request.prefix) : 0;
  const Position limit = turns->cache().options().max_position;
  if (static_cast<std::size_t>(limit - begin) <= prompt.size())
    fail(Status::no_room, "a turn of ", prompt.size(), " prompt tokens from position ", begin,
         " leaves no room for an answer; the model has ", limit,
         " positions: reset the conversation, or ask something shorter");
  return turns->answer(std::move(prompt), request, options, model, id);
}

Answer Conversation::Impl::ask(std::string_view question) {
  const hf::ModelText& text = model.runner.text();
  std::vector<hf::Message> asked = messages;
  asked.push_back({"user", std::string(question)});
  std::optional<hf::NextTurn> next;
  if (is_in_cache()) next = hf::encode_next_turn(text.tokenizer, text.chat, asked, messages.size() - 1);
  std::vector<TokenId> prompt = next ? std::move(next->rest) : hf::encode_chat(text.tokenizer, text.chat, asked);
  const KvCache& cache = turns->cache();
  const std::int32_t room = room_for(prompt.size(), next ? cache.n_free_pages() : cache.n_pages());

  TurnStatistics now;
  model.n_rows = 0;
  now.n_computed = static_cast<std::int32_t>(prompt.size());
  now.anew = !next && std::any_of(messages.begin(), messages.end(), [](const auto& m) { return m.role != "system"; });
  if (next) {
    now.n_computed += closed ? 0 : 1;
    now.n_kept = closed ? 0 : -1;
    close_answer(next->closing);
    now.n_kept += cache.n_tokens(turns->sequence(last));
  } else {
    forget();
  }

  RequestId id = kNoRequest;
  Answer result;
  try {
    result = answer(std::move(prompt), room, id);
    asked.push_back({"assistant", result.text});
  } catch (...) {
    if (id != kNoRequest) turns->release(id);
    throw;
  }
  now.n_rows = model.n_rows;
  if (result.text.empty() && result.reason != EndReason::end_of_text && result.reason != EndReason::finished) {
    if (id != kNoRequest) turns->release(id);
    if (result.reason == EndReason::no_room || result.reason == EndReason::range)
      fail(Status::no_room, "no room was left for an answer: reset the conversation, or ask something shorter");
    turn = now;
    return result;
  }
  turn = now;
  messages.swap(asked);
  forget();
  if (turns->sequence(id) == kNoSequence)
    turns->release(id);  // a markup that could not close its branches cost it the history
  else
    last = id;
  return result;
}

Conversation::Conversation(const CausalLm& model, const GenerateOptions& options, std::vector<hf::Message> messages)
    : impl_(std::make_unique<Impl>(model, options, std::move(messages))) {}
Conversation::Conversation(Conversation&&) noexcept = default;
Conversation& Conversation::operator=(Conversation&&) noexcept = default;
Conversation::~Conversation() = default;

Answer Conversation::ask(std::string_view question) { return impl_->ask(question); }

void Conversation::reset() {
  impl_->forget();
  impl_->turn = {};
  const bool has_system = !impl_->messages.empty() && impl_->messages.front().role == "system";
  impl_->messages.resize(has_system ? 1 : 0);
}

const std::vector<hf::Message>& Conversation::messages() const noexcept { return impl_->messages; }
GenerateOptions& Conversation::options() noexcept { return impl_->options; }
const TurnStatistics& Conversation::turn() const noexcept { return impl_->turn; }

std::int32_t Conversation::n_tokens() const {
  if (!impl_->is_in_cache()) return 0;
  const SequenceId sequence = impl_->turns->sequence(impl_->last);
  return sequence == kNoSequence ? 0 : impl_->turns->cache().n_tokens(sequence);
}

std::int32_t Conversation::n_free_pages() const noexcept { return impl_->turns->cache().n_free_pages(); }

}  // namespace anabranch::torch
