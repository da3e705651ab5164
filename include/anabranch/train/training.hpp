// The loop: steps over rows, validation, checkpoints that go on exactly where they stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <anabranch/train/losses.hpp>
#include <anabranch/train/model.hpp>
#include <anabranch/train/optimizer.hpp>
#include <anabranch/train/schedule.hpp>
#include <anabranch/train/token_row.hpp>

namespace anabranch::train {

struct TrainingOptions {
  ScheduleOptions schedule = {};
  RateOptions rate = {};
  OptimizerOptions optimizer = {};
  double clip = 1.0;  ///< norm of all gradients together; 0: none
};

/// The figures of one step.
struct StepReport {
  std::int64_t step = 0;  ///< steps done, this one included
  std::int32_t epoch = 0;
  Losses losses;  ///< of the step's targets, before the step
  double rate = 0;
  double gradient_norm = 0;  ///< before clipping
  std::int64_t n_tokens = 0;
  double seconds = 0;
};

class Training {
 public:
  /// The model outlives this. Throws bad_argument (options, no rows, a row without targets is fine).
  Training(Model& model, std::vector<TokenRow> rows, const TrainingOptions& options);

  std::int64_t n_steps() const noexcept { return static_cast<std::int64_t>(steps_.size()); }
  std::int64_t n_done() const noexcept { return optimizer_.n_steps(); }
  bool done() const noexcept { return n_done() >= n_steps(); }

  /// REQUIRES: not done().
  StepReport step();
  /// Losses over other rows with the parameters as they are.
  Losses evaluate(const std::vector<TokenRow>& rows) const;

  /// Parameters, moments and the number of steps as the folder `folder`, which appears whole or not at all; the one
  /// before stays until then. `settings` is any text that says what the run is. Throws bad_file.
  void save(const std::filesystem::path& folder, const std::string& settings) const;
  /// Goes on from a saved state. Throws bad_file: damaged, of another model, or with other settings.
  void restore(const std::filesystem::path& folder, const std::string& settings);

 private:
  Model* model_;
  std::vector<TokenRow> rows_;
  TrainingOptions options_;
  std::vector<StepRows> steps_;
  Optimizer optimizer_;
};

}  // namespace anabranch::train
