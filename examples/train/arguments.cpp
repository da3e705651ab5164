#include "arguments.hpp"

#include <cstdlib>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <anabranch/error.hpp>
#include <anabranch/hf/hub_cache.hpp>

#include "../common/numbers.hpp"
#include "../common/usage.hpp"

namespace anabranch::train {
namespace {

Positions positions_of(const std::string& text) {
  if (text == "sequential") return Positions::sequential;
  if (text == "longest") return Positions::longest;
  return Positions::reserved(std::stoi(text.substr(text.find(':') + 1)));
}

std::string positions_text(Positions positions) {
  switch (positions.kind) {
    case Positions::Kind::sequential: return "sequential";
    case Positions::Kind::longest: return "longest";
    default: return fmt::format("reserved:{}", positions.extent);
  }
}

void add_files(CLI::App& app, Arguments& a) {
  app.add_option("--model", a.model, "Hugging Face folder to start from, or the model's name on the hub")->required();
  app.add_option("--data", a.samples, "Samples to learn from, one JSON object per line")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--validation", a.validation, "Samples to validate with")->check(CLI::ExistingFile);
  app.add_option("--out", a.out, "Folder for the adapter, the log, the curve and the checkpoints")->required();
  app.add_option("--markup", a.markup, "Folder of an anabranch.json that names the tags; without: the model's own")
      ->check(CLI::ExistingDirectory);
  app.add_flag("--resume", a.resume, "Go on from the last checkpoint in the output folder");
}

void add_tuning(CLI::App& app, Arguments& a) {
  const std::map<std::string, Compute> computes{
      {"auto", Compute::automatic}, {"float32", Compute::float32}, {"bfloat16", Compute::bfloat16}};
  app.add_option("--rank", a.tuning.rank, "Rank of the adapters")->capture_default_str();
  app.add_option("--alpha", a.tuning.alpha, "Adapters add alpha / rank times their product")->capture_default_str();
  app.add_option("--compute", a.tuning.compute, "Type of the products with the base model's weights")
      ->transform(CLI::CheckedTransformer(computes));
  app.add_option("--threads", a.tuning.n_threads, "Threads; 0: as many as LibTorch takes")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_flag_callback(
      "--full", [&a] { a.tuning.tuning = Tuning::full; }, "Train every weight instead of adapters");
  app.add_flag("--float32-file", a.float32_file, "Write the adapter in float32 instead of bfloat16");
}

void add_training(CLI::App& app, Arguments& a) {
  TrainingOptions& t = a.training;
  app.add_option("--epochs", t.schedule.epochs, "Times that every sample is seen")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--tokens-per-step", t.schedule.tokens_per_step, "Most tokens of an optimiser step")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--tokens-per-pass", t.schedule.tokens_per_pass,
                 "Most tokens that are packed together; gradients of several passes add up to a step's")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--max-tokens", a.max_tokens, "Longer samples are skipped")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--lr", t.rate.peak, "Highest learning rate")->check(example::above(0))->capture_default_str();
  app.add_option("--warmup", t.rate.warmup, "Share of the steps in which the rate rises")
      ->check(example::between(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--lr-floor", t.rate.floor, "Share of the highest rate that the cosine ends at")
      ->check(example::between(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--weight-decay", t.optimizer.weight_decay, "Of AdamW")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--clip", t.clip, "Highest norm of the gradient; 0: any")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--seed", t.schedule.seed, "Of the order of samples and of the adapters' first values")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--validate-every", a.validate_every, "Steps")->capture_default_str()->check(example::at_least(1));
  app.add_option("--checkpoint-every", a.checkpoint_every, "Steps")->capture_default_str()->check(example::at_least(1));
  app.add_option("--stop-after", a.stop_after, "Stop with a checkpoint after so many steps of this call; 0: never")
      ->check(example::at_least(0))
      ->capture_default_str();
}

}  // namespace

std::string Arguments::fingerprint(std::size_t n_samples) const {
  const ScheduleOptions& s = training.schedule;
  const std::string tuned =
      tuning.tuning == Tuning::full ? "full" : fmt::format("rank {} alpha {}", tuning.rank, tuning.alpha);
  return fmt::format(
      "{} samples of {}, render {}, positions {}, {}, compute {}, epochs {}, tokens per step {}, per pass {}, longest "
      "{}, "
      "rate {} warm-up {} floor {}, decay {}, clip {}, seed {}",
      n_samples, samples.filename().string(), render.rendering == Rendering::aspd ? "aspd" : "serial",
      positions_text(render.positions), tuned, compute_name(tuning.compute), s.epochs, s.tokens_per_step,
      s.tokens_per_pass, max_tokens, training.rate.peak, training.rate.warmup, training.rate.floor,
      training.optimizer.weight_decay, training.clip, s.seed);
}

Arguments parse_arguments(int argc, char** argv) {
  Arguments a;
  CLI::App app(
      "Teaches a model to branch (or, for comparison, the same answers as serial text) and writes an adapter.");
  std::string positions = "sequential";
  const std::map<std::string, Rendering> renderings{{"aspd", Rendering::aspd}, {"serial", Rendering::serial}};
  add_files(app, a);
  app.add_option("--render", a.render.rendering, "aspd: branch markup; serial: plain reading text")
      ->transform(CLI::CheckedTransformer(renderings));
  app.add_option("--positions", positions, "sequential, longest or reserved:COUNT")
      ->check([](const std::string& text) {
        const bool known = text == "sequential" || text == "longest";
        const bool count = text.rfind("reserved:", 0) == 0 && text.size() > 9 && text.size() < 16 &&
                           text.find_first_not_of("0123456789", 9) == std::string::npos;
        return known || count ? std::string() : "must be sequential, longest or reserved:COUNT, not " + text;
      })
      ->capture_default_str();
  add_tuning(app, a);
  add_training(app, a);
  if (const auto ended = example::parse(app, argc, argv)) std::exit(*ended);
  a.render.positions = positions_of(positions);
  const std::filesystem::path named = std::exchange(a.model, hf::find_model(a.model));
  if (!std::filesystem::is_directory(a.model)) fail(Status::bad_file, "--model: there is no folder ", named.string());
  a.model_name = named == a.model ? named.filename().string() : named.string();
  a.tuning.seed = a.training.schedule.seed;
  if (a.markup.empty()) a.markup = a.model;
  return a;
}

}  // namespace anabranch::train
