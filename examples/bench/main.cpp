// anabranch-bench: what a model costs on this machine, and how many branches are nearly free.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <anabranch/hf/hub_cache.hpp>
#include <anabranch/simd.hpp>

#include "../common/data.hpp"
#include "../common/guarded.hpp"
#include "../common/numbers.hpp"
#include "../common/shipped.hpp"
#include "../common/usage.hpp"
#include "commit.hpp"
#include "measurements.hpp"

namespace anabranch::bench {
namespace {

struct Options {
  std::string model;  // empty: example::kModel with example::kAdapter
  std::string adapter;
  std::string weights = "auto";
  std::int32_t threads = 0, repeats = 3, prompt_tokens = 512;
  std::vector<std::int32_t> rows = {1, 2, 4, 8, 16};
  bool json = false, quick = false;
  GenerateOptions generate{.request = {.sampling = {.temperature = 0.0f}}, .max_requests = 1};
};

constexpr const char* kQuestion = "What are the benefits of regular exercise?";

void add_options(CLI::App& app, Options& o) {
  app.add_option("--model", o.model,
                 "Hugging Face folder or GGUF file of a model, or its name on the hub if it was fetched")
      ->check(example::named())
      ->default_str(example::kModel);
  app.add_option("--adapter", o.adapter, "PEFT LoRA folder to merge into the model")
      ->default_str(std::string(example::kAdapter) + ", without --model");
  app.add_option("--weights", o.weights, "auto, f32, bf16, int8; auto: the fastest here, measured")
      ->check(CLI::IsMember(example::kWeights))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "0: LibTorch's choice")
      ->check(example::between(0, 1024))
      ->capture_default_str();
  app.add_option("--repeats", o.repeats, "measure so often")->check(example::between(1, 1000))->capture_default_str();
  app.add_option("--prompt-tokens", o.prompt_tokens, "of the prefill, and keys that decoding rows see")
      ->check(example::between(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--rows", o.rows, "numbers of rows of a decoding pass; 1 is always among them")
      ->delimiter(',')
      ->check(example::between(1, 1024))
      ->default_str("1,2,4,8,16");
  app.add_flag("--json", o.json, "one JSON object in place of the table");
  app.add_flag("--quick", o.quick, "some seconds: one repeat, 64 prompt tokens, 1 to 8 rows, a short answer");
}

/// Options that were not given take what --quick means, or belong to the model of this repository.
void fill_in(const CLI::App& app, Options& o) {
  if (o.quick) {
    if (app.count("--repeats") == 0) o.repeats = 1;
    if (app.count("--prompt-tokens") == 0) o.prompt_tokens = 64;
    if (app.count("--rows") == 0) o.rows = {1, 2, 4, 8};
    o.generate.max_branches = 4;
    o.generate.request.max_branch_tokens = 16;
  }
  o.rows.push_back(1);
  std::sort(o.rows.begin(), o.rows.end());
  o.rows.erase(std::unique(o.rows.begin(), o.rows.end()), o.rows.end());
  if (!o.model.empty()) return;
  o.model = example::data(example::kModel);
  if (app.count("--adapter") > 0) return;
  o.adapter = example::data(example::kAdapter);
  o.generate.request.sampling.repetition_penalty = example::kPenalty;
}

/// Whatever can be refused before the weights are read.
void check(const CLI::App& app, const Options& o) {
  if (app.count("--model") == 0 && !std::filesystem::exists(std::filesystem::path(o.model) / "config.json"))
    fail(Status::bad_file, "there is no model in ", o.model, "; name one with --model FOLDER");
  const hf::ModelConfig config = hf::ModelConfig::load(hf::find_model(o.model));
  if (o.prompt_tokens >= config.max_positions)
    fail(Status::bad_argument, "--prompt-tokens is ", o.prompt_tokens, "; the model has positions for ",
         config.max_positions - 1, " and one new token");
}

const char* name_of(attention::Element element) {
  switch (element) {
    case attention::Element::float32: return "f32";
    case attention::Element::bfloat16: return "bf16";
    case attention::Element::float16: return "f16";
    case attention::Element::int8: return "int8";
  }
  return "";
}

std::string name_of(torch::Weights weights) {
  const auto found = std::find_if(example::kWeights.begin(), example::kWeights.end(),
                                  [&](const auto& named) { return named.second == weights; });
  return found->first;
}

Setup setup_of(const torch::CausalLm& model, const Options& o) {
  Setup s;
  s.version = fmt::format("{}.{}.{}", ANABRANCH_VERSION_MAJOR, ANABRANCH_VERSION_MINOR, ANABRANCH_VERSION_PATCH);
  s.commit = kCommit;
  s.processor = processor();
  s.simd = simd::in_use();
  s.n_cores = static_cast<std::int32_t>(std::thread::hardware_concurrency());
  s.n_threads = model.n_threads();
  s.n_repeats = o.repeats;
  s.model = o.model;
  s.adapter = o.adapter;
  s.weights = name_of(model.weights());
  s.kv = name_of(model.kv());
  return s;
}

std::int64_t kv_bytes_per_token(const torch::CausalLm& model) {
  const hf::ModelConfig& c = model.config();
  const std::int64_t heads = 2 * std::int64_t{c.n_layers} * c.n_kv_heads;
  const std::int64_t of_head = c.head_dim * static_cast<std::int64_t>(element_size(model.kv()));
  return heads * (of_head + (model.kv() == attention::Element::int8 ? 4 : 0));
}

Report measure(const Options& o, const Progress& progress) {
  progress("loading " + o.model);
  torch::LoadOptions load{.weights = example::kWeights.at(o.weights), .n_threads = o.threads};
  if (!o.adapter.empty()) load.adapter = o.adapter;
  const auto begin = Clock::now();
  torch::CausalLm model = torch::CausalLm::load(o.model, load);
  const double load_seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  Memory memory{model.weight_bytes(), kv_bytes_per_token(model), peak_resident_bytes(), 0};
  const bool branches = model.text().markup.markup != MarkupKind::serial;  // what is wrong with it is known at once

  progress(fmt::format("prefill of {} tokens", o.prompt_tokens));
  const Prefill prefill = measure_prefill(model, o.prompt_tokens, o.repeats);
  progress(fmt::format("passes of {} rows", fmt::join(o.rows, ", ")));
  RowCosts costs = model.measure_row_costs({.rows = o.rows, .keys = {o.prompt_tokens}, .repeats = o.repeats});
  std::vector<Answers> answers;
  if (branches) answers.push_back(measure_answers(model, kQuestion, o.generate, o.repeats, progress));
  memory.peak = peak_resident_bytes();
  return {setup_of(model, o), load_seconds, prefill, o.prompt_tokens, std::move(costs), std::move(answers), memory};
}

void run(const CLI::App& app, const Options& o) {
  check(app, o);
  const Report report = measure(o, [](const std::string& line) { fmt::print(stderr, "{} ...\n", line); });
  fmt::print("{}{}", o.json ? to_json(report) : table(report), o.json ? "\n" : "");
}

}  // namespace
}  // namespace anabranch::bench

int main(int argc, char** argv) {
  namespace bench = anabranch::bench;
  bench::Options options;
  CLI::App app{"Measures what a model costs on this machine, and how many branches are nearly free", "anabranch-bench"};
  bench::add_options(app, options);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  bench::fill_in(app, options);
  return example::guarded("anabranch-bench", [&] { bench::run(app, options); });
}
