// Merges a LoRA adapter into its model: a Hugging Face folder that needs no adapter any more.
#include <map>
#include <string>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <anabranch/hf/hub_cache.hpp>
#include <anabranch/hf/merged_folder.hpp>

#include "../../common/data.hpp"
#include "../../common/guarded.hpp"
#include "../../common/usage.hpp"

namespace ab = anabranch;

int main(int argc, char** argv) {
  const std::map<std::string, ab::hf::Dtype> dtypes{{"float32", ab::hf::Dtype::f32}, {"bfloat16", ab::hf::Dtype::bf16}};
  constexpr const char* kModel = "build/models/smollm2-135m";
  std::string model = example::data(kModel), adapter, merged, dtype = "float32";
  CLI::App app{"Merges a LoRA adapter into its model and writes the whole as a Hugging Face folder"};
  app.add_option("adapter", adapter, "PEFT LoRA folder")->required();
  app.add_option("merged", merged, "the folder to write; must not exist")->required();
  app.add_option("--model", model, "Hugging Face folder, or name on the hub, of the model that the adapter belongs to")
      ->default_str(kModel);
  app.add_option("--dtype", dtype, "of the weights written: float32, bfloat16")
      ->check(CLI::IsMember(dtypes))
      ->capture_default_str();
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  return example::guarded("merge_adapter", [&] {
    ab::hf::write_merged_folder(
        {.model = ab::hf::find_model(model), .adapter = adapter, .merged = merged, .dtype = dtypes.at(dtype)});
    fmt::print("{} holds {} with {} merged in\n", merged, model, adapter);
  });
}
