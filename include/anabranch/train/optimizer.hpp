// AdamW over a model's parameters, with a state that can be kept and put back exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/train/model.hpp>

namespace anabranch::train {

struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

/// Moments of one parameter, copies of its shape.
struct Moments {
  std::string name;
  std::vector<float> first, second;
};

class Optimizer {
 public:
  /// The model outlives the optimizer; moving the model is fine.
  Optimizer(Model& model, const OptimizerOptions& options);
  Optimizer(Optimizer&&) noexcept;
  ~Optimizer();

  /// Scales the gradients down to a common norm of at most `limit` (0: leaves them); the norm before.
  double clip(double limit);
  /// One step with the gradients as they are, and parameters_changed().
  void step(double rate);

  std::int64_t n_steps() const noexcept;
  std::vector<Moments> moments() const;
  /// Throws bad_argument when the moments are not those of this model.
  void restore(std::int64_t n_steps, const std::vector<Moments>& moments);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::train
