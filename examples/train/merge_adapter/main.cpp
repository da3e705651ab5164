// Merges a LoRA adapter into its model: a Hugging Face folder that needs no adapter any more.
#include <csignal>
#include <cstdio>
#include <map>
#include <string>

#include <unistd.h>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <anabranch/hf/hub_cache.hpp>
#include <anabranch/hf/merged_folder.hpp>

#include "../../common/data.hpp"
#include "../../common/guarded.hpp"
#include "../../common/numbers.hpp"
#include "../../common/usage.hpp"

namespace ab = anabranch;

namespace {

constexpr int kStopped = 128 + SIGINT;
volatile std::sig_atomic_t is_stopped = 0;

/// Shows on a terminal how far the merge is; false: Ctrl-C was pressed.
bool show(std::size_t n_written, std::size_t n_tensors) {
  if (::isatty(STDERR_FILENO) != 0)
    fmt::print(stderr, "\r  {} of {} tensors written{}", n_written, n_tensors, n_written == n_tensors ? "\n" : "");
  return is_stopped == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, ab::hf::Dtype> dtypes{{"float32", ab::hf::Dtype::f32}, {"bfloat16", ab::hf::Dtype::bf16}};
  constexpr const char* kModel = "build/models/smollm2-135m";
  std::string model = example::data(kModel), adapter, merged, dtype = "float32";
  CLI::App app{"Merges a LoRA adapter into its model and writes the whole as a Hugging Face folder"};
  app.add_option("adapter", adapter, "PEFT LoRA folder")->required();
  app.add_option("merged", merged, "the folder to write; must not exist")->required();
  app.add_option("--model", model, "Hugging Face folder, or name on the hub, of the model that the adapter belongs to")
      ->check(example::named())
      ->default_str(kModel);
  app.add_option("--dtype", dtype, "of the weights written: float32, bfloat16")
      ->check(CLI::IsMember(dtypes))
      ->capture_default_str();
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  std::signal(SIGINT, [](int) { is_stopped = 1; });
  return example::guarded("merge_adapter", [&] {
    if (!ab::hf::write_merged_folder({.model = ab::hf::find_model(model),
                                      .adapter = adapter,
                                      .merged = merged,
                                      .dtype = dtypes.at(dtype),
                                      .on_tensor = show})) {
      fmt::print(stderr, "\n(stopped; nothing of {} was kept)\n", merged);
      return kStopped;
    }
    fmt::print("{} holds {} with {} merged in\n", merged, model, adapter);
    return 0;
  });
}
