// What a run leaves in its output folder: log.jsonl, curve.svg, checkpoint/ and at the end the adapter's files.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <anabranch/train/curve.hpp>
#include <anabranch/train/training.hpp>

namespace anabranch::train {

class RunFolder {
 public:
  /// A new run starts an empty log; one that goes on keeps the log's lines up to `step`. Throws bad_file.
  RunFolder(std::filesystem::path folder, std::int64_t step);

  std::filesystem::path checkpoint() const { return folder_ / "checkpoint"; }

  void add(const StepReport& report);
  void add_validation(std::int64_t step, const Losses& losses, double seconds);
  /// Draws the curve anew.
  void draw(const std::string& title) const;

 private:
  void read_log(std::int64_t step);
  void write_line(const std::string& line);

  std::filesystem::path folder_;
  std::ofstream log_;
  std::vector<CurvePoint> train_, validation_;
};

}  // namespace anabranch::train
