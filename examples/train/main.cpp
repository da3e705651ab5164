// Trains a model on samples with branches and writes an adapter that makes it branch.
//
//   anabranch_train --model build/models/smollm2-135m --markup examples/train/smollm2 --data train.jsonl
//       --validation validation.jsonl --out build/adapter
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/samples.hpp>
#include <anabranch/train/adapter.hpp>
#include <anabranch/train/tag_rows.hpp>
#include <anabranch/train/training.hpp>

#include "../common/guarded.hpp"
#include "arguments.hpp"
#include "run_folder.hpp"

namespace anabranch::train {
namespace {

/// Set by a signal: the run ends with a checkpoint after the step that is under way.
volatile std::sig_atomic_t asked_to_stop = 0;  // the signal's number

/// Progress is one line that is written over, or a line each where nobody looks.
const char* line_start() { return ::isatty(2) != 0 ? "\r" : ""; }
const char* line_end() { return ::isatty(2) != 0 ? "   " : "\n"; }

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The samples of a file as rows; those that are too long or do not fit their positions are skipped and counted.
std::vector<TokenRow> rows_of(const std::filesystem::path& file, const Renderer& renderer, std::int32_t max_tokens) {
  std::vector<TokenRow> rows;
  std::int64_t n_tokens = 0, n_targets = 0, n_long = 0, n_refused = 0;
  for (const Sample& sample : hf::read_samples(file)) {
    try {
      TokenRow row = renderer.render(sample);
      if (row.n_tokens() > max_tokens) {
        ++n_long;
        continue;
      }
      n_tokens += row.n_tokens();
      n_targets += row.n_targets();
      rows.push_back(std::move(row));
    } catch (const Error& error) {
      ++n_refused;
      fmt::print(stderr, "skipped {}: {}\n", sample.id, error.what());
    }
  }
  fmt::print(stderr, "{}: {} samples, {} tokens, {} of them to learn; skipped: {} longer than {} tokens, {} refused\n",
             file.string(), rows.size(), n_tokens, n_targets, n_long, max_tokens, n_refused);
  return rows;
}

std::string losses_text(const Losses& losses) {
  std::string text = fmt::format("{:.4f}", losses.mean());
  for (std::int32_t k = 0; k < kTokenKinds; ++k)
    if (const auto kind = static_cast<TokenKind>(k); losses.count[kind] > 0)
      text += fmt::format("  {} {:.3f}", token_kind_name(kind), losses.mean(kind));
  return text;
}

/// One run: the loop and what is written while it goes.
class Run {
 public:
  Run(const Arguments& arguments, Training& training, std::vector<TokenRow> validation, RunFolder& folder,
      std::string settings, std::function<void()> write_result)
      : a_(arguments),
        training_(training),
        validation_(std::move(validation)),
        folder_(folder),
        settings_(std::move(settings)),
        write_result_(std::move(write_result)) {}

  /// Whether all steps are done.
  bool go() {
    const std::int64_t first = training_.n_done();
    if (first == 0) validate();
    while (!training_.done()) {
      report(training_.step(), first);
      const std::int64_t step = training_.n_done();
      if (step % a_.validate_every == 0 || training_.done()) validate();
      const bool stop = asked_to_stop != 0 || (a_.stop_after > 0 && step - first >= a_.stop_after);
      if (step % a_.checkpoint_every == 0 || training_.done() || stop) keep();
      if (stop) break;
    }
    folder_.draw(settings_.substr(0, 90));
    return training_.done();
  }

 private:
  void keep() {
    training_.save(folder_.checkpoint(), settings_);
    write_result_();
  }

  void report(const StepReport& r, std::int64_t first) {
    folder_.add(r);
    n_tokens_ += r.n_tokens;
    seconds_ += r.seconds;
    const double left =
        seconds_ / static_cast<double>(r.step - first) * static_cast<double>(training_.n_steps() - r.step);
    fmt::print(stderr, "{}step {}/{}  epoch {}  loss {:.4f}  lr {:.2e}  {:.0f} tokens/s  {:.0f} min left{}",
               line_start(), r.step, training_.n_steps(), r.epoch + 1, r.losses.mean(), r.rate,
               static_cast<double>(n_tokens_) / seconds_, left / 60, line_end());
    std::fflush(stderr);
  }

  void validate() {
    if (!validation_.empty()) {
      const auto begin = std::chrono::steady_clock::now();
      const Losses losses = training_.evaluate(validation_);
      folder_.add_validation(training_.n_done(), losses, seconds_since(begin));
      fmt::print(stderr, "{}step {}/{}  validation {}\n", line_start(), training_.n_done(), training_.n_steps(),
                 losses_text(losses));
    }
    folder_.draw(settings_.substr(0, 90));
  }

  const Arguments& a_;
  Training& training_;
  std::vector<TokenRow> validation_;
  RunFolder& folder_;
  std::string settings_;
  std::function<void()> write_result_;
  std::int64_t n_tokens_ = 0;
  double seconds_ = 0;
};

void write_result(const Arguments& a, const Model& model, const hf::MarkupSettings& markup) {
  if (a.tuning.tuning == Tuning::full)
    save_model(model, a.model, a.out);
  else
    adapter_of(model, a.model_name).save(a.out, a.float32_file ? hf::Dtype::f32 : hf::Dtype::bf16);
  hf::MarkupSettings settings = markup;
  settings.positions = a.render.positions;
  settings.markup = a.render.rendering == Rendering::aspd ? MarkupKind::aspd : MarkupKind::serial;
  settings.save(a.out);
}

int run(Arguments a) {
  hf::ModelText text = hf::ModelText::load(a.model);
  text.markup = hf::MarkupSettings::load(a.markup);
  const hf::ModelConfig config = hf::ModelConfig::load(a.model);
  const hf::MarkupSettings markup = text.markup;
  const Renderer renderer(text, config.eos, a.render);
  std::vector<TokenRow> rows = rows_of(a.samples, renderer, a.max_tokens);
  std::vector<TokenRow> validation;
  if (!a.validation.empty()) validation = rows_of(a.validation, renderer, a.max_tokens);
  if (a.render.rendering == Rendering::aspd && a.tuning.tuning == Tuning::lora) {
    a.tuning.token_rows = tag_tokens(renderer.tags());
    a.tuning.initial_rows = initial_tag_rows(a.model, config, text.tokenizer, a.tuning.token_rows);
  }
  Model model = Model::load(a.model, a.tuning);
  a.tuning.compute = model.compute();
  const std::string settings = a.fingerprint(rows.size());
  Training training(model, std::move(rows), a.training);
  if (a.resume) training.restore(a.out / "checkpoint", settings);
  RunFolder folder(a.out, training.n_done());
  fmt::print(stderr, "{} steps, {} done; products in {}\n", training.n_steps(), training.n_done(),
             compute_name(model.compute()));
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int number) { asked_to_stop = number; });
  const auto write = [&] {
    if (a.tuning.tuning == Tuning::lora || training.done()) write_result(a, model, markup);
  };
  const bool done = Run(a, training, std::move(validation), folder, settings, write).go();
  if (done)
    fmt::print(stderr, "\nwrote {}\n", a.out.string());
  else
    fmt::print(stderr, "\nstopped after step {}; --resume goes on\n", training.n_done());
  return done || asked_to_stop == 0 ? 0 : 128 + asked_to_stop;  // a script must not take it for done
}

}  // namespace
}  // namespace anabranch::train

int main(int argc, char** argv) {
  namespace train = anabranch::train;
  return example::guarded("train", [&] { return train::run(train::parse_arguments(argc, argv)); });
}
