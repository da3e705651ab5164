#include <anabranch/torch/generate.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace anabranch::torch {
namespace {

using Clock = std::chrono::steady_clock;
using Prompts = std::vector<std::vector<TokenId>>;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// A request that runs: which question it answers, and its clocks.
struct Running {
  std::size_t question = 0;
  Clock::time_point begin;
  std::int32_t n_open_blocks = 0;
  std::int32_t n_prefill = 0;
};

template <class Markup>
class Answering {
 public:
  Answering(CausalLm& model, Markup markup, const Prompts& prompts, const GenerateOptions& options, Positions positions)
      : model_(model),
        prompts_(prompts),
        options_(options),
        cache_(cache_options(model, prompts, options)),
        decoder_(cache_, std::move(markup), model.text().tokenizer, decoder_options(model, options, positions)),
        answers_(prompts.size()) {}

  std::vector<Answer> run() {
    while (next_ < prompts_.size() || decoder_.has_work()) {
      while (next_ < prompts_.size() && running_.size() < static_cast<std::size_t>(std::max(1, options_.max_requests)))
        submit();
      one_pass();
    }
    take(decoder_.take_events());
    return std::move(answers_);
  }

 private:
  static CacheOptions cache_options(const CausalLm& model, const Prompts& prompts, const GenerateOptions& options) {
    CacheOptions result;
    result.max_position = model.config().max_positions;
    std::size_t longest = 0;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    // Per answer: what is sampled, forced tags and titles, and for every branch a page that it does not fill.
    const std::int64_t forced = 64 + std::int64_t{options.max_branches} * 64;
    const std::int64_t slots = static_cast<std::int64_t>(longest) + options.max_tokens + forced;
    const std::int64_t pages = slots / result.page_size + 2 * (options.max_branches + 4);
    result.n_pages =
        options.n_pages > 0
            ? options.n_pages
            : static_cast<std::int32_t>(std::min<std::int64_t>(pages * std::max(1, options.max_requests), 1 << 20));
    return result;
  }
  static DecoderOptions decoder_options(const CausalLm& model, const GenerateOptions& options, Positions positions) {
    DecoderOptions result;
    result.max_branches = options.max_branches;
    result.max_tokens = options.max_tokens;
    result.max_branch_tokens = options.max_branch_tokens;
    result.max_rows = model.max_rows();
    result.positions = positions;
    result.end_of_text = model.config().eos;
    return result;
  }

  void submit() {
    RequestOptions request;
    request.temperature = options_.temperature;
    request.top_k = options_.top_k;
    request.top_p = options_.top_p;
    request.repetition_penalty = options_.repetition_penalty;
    request.seed = options_.seed;
    request.stop = options_.stop;
    const RequestId id = decoder_.submit(prompts_[next_], request);
    running_[id] = {next_, Clock::now(), 0, 0};
    ++next_;
  }

  void one_pass() {
    const Clock::time_point begin = Clock::now();
    const DecoderPlan plan = decoder_.plan();
    if (!plan) {
      take(decoder_.take_events());
      if (plan.shortage().n_pages == 0) return;
      fail(Status::no_room, "the answers need " + std::to_string(plan.shortage().n_pages) + " more pages than the " +
                                std::to_string(cache_.n_pages()) +
                                " of the cache; raise n_pages or lower max_requests");
    }
    LogitsView logits;
    try {
      logits = model_(*plan);
    } catch (...) {
      decoder_.abort();
      throw;
    }
    const std::span<const Event> events = decoder_.commit(logits);
    charge(seconds_since(begin));
    take(events);
    take(decoder_.take_events());
    if (options_.on_pass) options_.on_pass();
  }

  /// A pass took this long: who it was for.
  void charge(double seconds) {
    for (auto& [id, running] : running_) {
      Answer& answer = answers_[running.question];
      const std::int32_t n_prefill = decoder_.statistics(id).n_prefill;
      if (n_prefill > running.n_prefill) answer.prefill_seconds += seconds;
      running.n_prefill = n_prefill;
      if (running.n_open_blocks > 0) answer.parallel_seconds += seconds;
    }
  }

  void take(std::span<const Event> events) {
    for (const Event& event : events) {
      if (options_.on_event) options_.on_event(event);
      const auto found = running_.find(event.request);
      if (found == running_.end()) continue;
      Running& running = found->second;
      Answer& answer = answers_[running.question];
      const bool in_branch = event.branch != kTrunk && event.kind == Event::Kind::token;
      if (in_branch && event.role == markup::Role::text && event.source == Source::sampled) ++answer.n_parallel_tokens;
      if (event.kind == Event::Kind::fork && !event.titles.empty()) ++running.n_open_blocks;
      if (event.kind == Event::Kind::join) --running.n_open_blocks;
      if (event.kind == Event::Kind::end) finish(event.request, running, event);
    }
    for (const RequestId id : ended_) {  // its pages are free for the next question
      running_.erase(id);
      decoder_.release(id);
    }
    ended_.clear();
  }

  void finish(RequestId id, const Running& running, const Event& end) {
    Answer& answer = answers_[running.question];
    answer.seconds = seconds_since(running.begin);
    answer.reason = end.reason;
    answer.statistics = end.statistics;
    answer.text = decoder_.text(id);
    for (BranchIndex b = 1; b <= decoder_.n_branches(id); ++b) {
      BranchReport report = decoder_.branch(id, b);
      answer.branches.push_back(
          {std::move(report.path), std::move(report.title), std::move(report.text), report.reason});
    }
    ended_.push_back(id);
  }

  CausalLm& model_;
  const Prompts& prompts_;
  const GenerateOptions& options_;
  KvCache cache_;
  Decoder<KvCache, Markup, hf::Tokenizer> decoder_;
  std::vector<Answer> answers_;
  std::map<RequestId, Running> running_;
  std::vector<RequestId> ended_;
  std::size_t next_ = 0;
};

struct PlainEncode {
  hf::Tokenizer tokenizer;
  std::vector<TokenId> operator()(std::string_view text) const { return tokenizer.encode(text, hf::Special::plain); }
};

markup::SkeletonOptions skeleton_options(const CausalLm& model, const GenerateOptions& options) {
  markup::SkeletonOptions result;
  result.max_points = options.max_branches;
  result.n_vocabulary = std::min(model.text().tokenizer.n_tokens(), model.config().vocabulary);
  result.end_of_text = model.config().eos;
  return result;
}

}  // namespace

std::vector<Answer> generate(CausalLm& model, std::span<const std::string> questions, const GenerateOptions& options) {
  const hf::MarkupSettings& settings = model.text().markup;
  Prompts prompts;
  for (const std::string& question : questions) {
    std::vector<hf::Message> messages;
    if (!options.system.empty()) messages.push_back({"system", options.system});
    messages.push_back({"user", question});
    prompts.push_back(hf::encode_chat(model.text().tokenizer, model.text().chat, messages));
  }
  const Positions positions = options.positions.value_or(settings.positions);
  const auto answer = [&](auto markup) {
    return Answering<decltype(markup)>(model, std::move(markup), prompts, options, positions).run();
  };
  switch (options.markup.value_or(settings.markup)) {
    case hf::MarkupKind::skeleton:
      return answer(markup::Skeleton<PlainEncode, hf::Tokenizer>({model.text().tokenizer}, model.text().tokenizer,
                                                                 skeleton_options(model, options)));
    case hf::MarkupKind::aspd: return answer(markup::Aspd(settings.tags(model.text().tokenizer)));
    case hf::MarkupKind::serial: break;
  }
  return answer(markup::Serial());
}

Answer generate(CausalLm& model, std::string_view question, const GenerateOptions& options) {
  const std::string text(question);
  return std::move(generate(model, std::span<const std::string>(&text, 1), options).front());
}

}  // namespace anabranch::torch
