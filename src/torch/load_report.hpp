// Tells whoever loads a model how far it is: LoadOptions::on_progress and LoadOptions::log.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <anabranch/torch/load_options.hpp>

namespace anabranch::torch {

class LoadReport {
 public:
  /// Reports to nobody.
  LoadReport() = default;
  /// `options` must outlive it.
  explicit LoadReport(const LoadOptions& options) : options_(&options) {}

  /// Begins to count bytes of weights.
  void expect(std::int64_t total) noexcept {
    done_ = 0;
    total_ = total;
  }
  void add(std::size_t bytes) noexcept { done_ = std::min(total_, done_ + static_cast<std::int64_t>(bytes)); }
  void stage(std::string_view name) const {
    if (options_ != nullptr && options_->on_progress) options_->on_progress({name, done_, total_});
  }
  void ready() {
    done_ = total_;
    stage("ready");
  }
  void log(const std::string& line) const {
    if (options_ != nullptr && options_->log) options_->log(line);
  }

 private:
  const LoadOptions* options_ = nullptr;
  std::int64_t done_ = 0, total_ = 0;
};

}  // namespace anabranch::torch
