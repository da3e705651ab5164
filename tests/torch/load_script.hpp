// Loads a tiny model with a folder for prepared weights of its own, and notes what the load said.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <anabranch/torch/causal_lm.hpp>

#include "oracle/hand_plan.hpp"
#include "torch/tiny_model.hpp"

namespace anabranch::test {

inline std::string file_content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_content(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

/// The bytes of the logits of three tokens, the last two with outputs.
inline std::string logit_bytes(torch::CausalLm& model) {
  HandPlan plan = serial_plan({3, 1, 4}, 0, 16);
  plan.output(1);
  const LogitsView logits = model(plan.plan());
  std::string bytes;
  for (std::int32_t i = 0; i < 2; ++i) {
    const std::span<const float> row = logits.row(i);
    bytes.append(reinterpret_cast<const char*>(row.data()), row.size_bytes());
  }
  return bytes;
}

/// Loads with the same options again and again.
class LoadScript {
 public:
  explicit LoadScript(const eigen::Weights& weights) : folder_(weights) {
    options.weights = torch::Weights::int8;
    options.weight_cache = {.folder = kept_folder(), .min_bytes = 0};
    options.log = [this](std::string_view line) { lines.emplace_back(line); };
    options.on_progress = [this](const torch::LoadProgress& now) {
      if (stages.empty() || stages.back() != now.stage) stages.emplace_back(now.stage);
      fractions.push_back(now.fraction());
    };
  }

  torch::CausalLm load() {
    lines.clear();
    stages.clear();
    fractions.clear();
    return torch::CausalLm::load(folder_.path(), options);
  }
  std::string load_and_run() {
    torch::CausalLm model = load();
    return logit_bytes(model);
  }
  /// Without prepared weights.
  std::string run_fresh() {
    torch::LoadOptions fresh = options;
    fresh.weight_cache.enabled = false;
    torch::CausalLm model = torch::CausalLm::load(folder_.path(), fresh);
    return logit_bytes(model);
  }

  const TinyFolder& folder() const noexcept { return folder_; }
  std::filesystem::path kept_folder() const { return folder_.path() / "kept"; }
  std::vector<std::filesystem::path> kept() const {
    std::vector<std::filesystem::path> files;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(kept_folder(), none)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }
  bool said(const std::string& part) const {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  bool passed(const std::string& stage) const { return std::find(stages.begin(), stages.end(), stage) != stages.end(); }

  torch::LoadOptions options;
  std::vector<std::string> lines, stages;
  std::vector<double> fractions;

 private:
  TinyFolder folder_;
};

}  // namespace anabranch::test
