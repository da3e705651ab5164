// The command line of the training program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <anabranch/train/training.hpp>

namespace anabranch::train {

struct Arguments {
  std::filesystem::path model, samples, validation, out;
  std::string model_name;        ///< of `model`: the folder's, or the hub's
  std::filesystem::path markup;  ///< folder of the anabranch.json that names tags and separator; empty: the model's
  RenderOptions render;
  ModelOptions tuning;
  TrainingOptions training;
  std::int32_t max_tokens = 1024;      ///< longer samples are skipped
  std::int32_t validate_every = 50;    ///< steps
  std::int32_t checkpoint_every = 50;  ///< steps
  std::int64_t stop_after = 0;         ///< steps of this call; 0: all
  bool resume = false;
  bool float32_file = false;  ///< the adapter's file; else bfloat16

  /// What must be the same when a run goes on, as text.
  std::string fingerprint(std::size_t n_samples) const;
};

/// Ends the program on --help or a mistake, with its exit status.
Arguments parse_arguments(int argc, char** argv);

}  // namespace anabranch::train
