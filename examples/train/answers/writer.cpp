#include "writer.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace answers {
namespace {

namespace ab = anabranch;

using Skeleton = ab::markup::Skeleton<ab::hf::Tokenizer, ab::hf::Tokenizer>;

Skeleton skeleton_of(const ab::torch::CausalLm& model, std::int32_t n_points, std::int32_t least_tokens) {
  const ab::hf::ModelText& text = model.text();
  ab::markup::SkeletonOptions options;
  options.opening.clear();  // each prompt brings its own
  options.max_points = n_points;
  options.min_body_tokens = least_tokens;
  options.n_vocabulary = std::min(text.tokenizer.n_tokens(), model.config().vocabulary);
  options.end_of_text = model.config().eos;
  return Skeleton(text.tokenizer, text.tokenizer, std::move(options));
}

template <class Markup>
class Writer {
 public:
  Writer(ab::torch::CausalLm& model, Markup markup, const Settings& settings, std::int32_t n_points)
      : model_(model),
        settings_(settings),
        cache_({.n_pages = settings.n_at_once * 128, .max_position = model.config().max_positions}),
        decoder_(cache_, std::move(markup), model.text().tokenizer, options_of(settings, n_points)) {}

  void run(const std::vector<Task>& tasks, const std::function<void(const Written&)>& done) {
    std::size_t next = 0;
    while (next < tasks.size() || decoder_.has_work()) {
      for (; next < tasks.size() && running_.size() < static_cast<std::size_t>(settings_.n_at_once); ++next)
        submit(tasks[next]);
      one_pass(done);
    }
  }

 private:
  ab::DecoderOptions options_of(const Settings& settings, std::int32_t n_points) const {
    ab::DecoderOptions options;
    options.max_tokens = n_points > 0 ? n_points * (settings.max_branch_tokens + 24) : settings.max_tokens;
    options.max_branch_tokens = settings.max_branch_tokens;
    options.max_rows = model_.max_rows();
    options.end_of_text = model_.config().eos;
    return options;
  }

  void submit(const Task& task) {
    const ab::hf::ModelText& text = model_.text();
    const std::vector<ab::hf::Message> messages{{"user", task.prompt->text}};
    std::vector<ab::TokenId> prompt = ab::hf::encode_chat(text.tokenizer, text.chat, messages);
    const auto opening = text.tokenizer.encode(task.prompt->opening, ab::hf::Special::plain);
    prompt.insert(prompt.end(), opening.begin(), opening.end());
    ab::RequestOptions options;
    options.sampling = settings_.sampling;
    options.sampling.seed += static_cast<std::uint64_t>(task.sample);
    running_[decoder_.submit(prompt, options)] = task;
  }

  void one_pass(const std::function<void(const Written&)>& done) {
    const ab::DecoderPlan plan = decoder_.plan();
    if (!plan) {
      if (plan.shortage().n_pages > 0)
        ab::fail(ab::Status::no_room, "the answers of one time need ", plan.shortage().n_pages,
                 " more pages; write fewer at once");
      return take(decoder_.take_events(), done);
    }
    const auto events = decoder_.commit(model_(*plan));
    take({events.begin(), events.end()}, done);
    take(decoder_.take_events(), done);
  }

  void take(const std::vector<ab::Event>& events, const std::function<void(const Written&)>& done) {
    for (const ab::Event& event : events) {
      if (event.kind != ab::Event::Kind::end) continue;
      const Task task = running_.at(event.request);
      Written written{task, task.prompt->opening + decoder_.text(event.request), ab::reason_name(event.reason), 0,
                      event.statistics.n_sampled};
      for (ab::BranchIndex b = 1; b <= decoder_.n_branches(event.request); ++b)
        written.n_cut += decoder_.branch(event.request, b).reason == ab::EndReason::limit ? 1 : 0;
      done(written);
      decoder_.release(event.request);
      running_.erase(event.request);
    }
  }

  ab::torch::CausalLm& model_;
  const Settings& settings_;
  ab::KvCache cache_;
  ab::Decoder<Markup, ab::hf::Tokenizer> decoder_;
  std::map<ab::RequestId, Task> running_;
};

}  // namespace

void write_answers(ab::torch::CausalLm& model, const std::vector<Task>& tasks, const Settings& settings,
                   const std::function<void(const Written&)>& done) {
  if (tasks.empty()) return;
  const std::int32_t n_points = tasks.front().prompt->n_points;
  if (n_points > 0)
    Writer<Skeleton>(model, skeleton_of(model, n_points, tasks.front().prompt->least_tokens), settings, n_points)
        .run(tasks, done);
  else
    Writer<ab::markup::Serial>(model, {}, settings, 0).run(tasks, done);
}

}  // namespace answers
