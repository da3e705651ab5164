// Prepared weights that are kept in files from load to load.
//
// A kept file is a safetensors file whose metadata say what it was made of: version and kernel form, and path, size,
// time and hash of each source. It is taken when all of that is what this load would make, all tensors are there in
// their sizes and the checksum of their bytes is right; else it counts as absent and is written over.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <anabranch/hf/config.hpp>
#include <anabranch/torch/load_options.hpp>

#include "fastest_type.hpp"
#include "load_report.hpp"
#include "tensors.hpp"

namespace anabranch::torch {

/// The files that a model is made of.
struct ModelSources {
  std::filesystem::path folder;
  std::optional<std::filesystem::path> adapter;
};

/// Name and description of a kept file.
struct KeptFile {
  std::filesystem::path path;
  std::map<std::string, std::string, std::less<>> description;
};

class WeightCache {
 public:
  /// `report` must outlive it.
  WeightCache(const WeightCacheOptions& options, const LoadReport& report);

  /// The kept file of a model's int8 weights. None: nothing is kept, or a source cannot be read.
  std::optional<KeptFile> file_of(const ModelSources& sources) const;
  /// The configuration of the tensors that it holds: `config` as the files and the adapter have changed it. None: as
  /// below.
  std::optional<hf::ModelConfig> config_of(const KeptFile& file, const hf::ModelConfig& config) const;
  /// Reads it, in the configuration of its tensors. None: it is not there, damaged, or made of something else.
  std::optional<ModelTensors> read(const KeptFile& file, const hf::ModelConfig& config, LoadReport& report) const;
  /// Writes it, if it can.
  void write(const KeptFile& file, const ModelTensors& tensors, const hf::ModelConfig& config) const;

  /// The type that was the fastest for such a model on this machine, with this many threads.
  std::optional<Weights> fastest(const hf::ModelConfig& config) const;
  /// Keeps a clear result, and says what was measured.
  void keep_fastest(const hf::ModelConfig& config, const FastestType& measured) const;

 private:
  std::optional<KeptFile> file_of_fastest(const hf::ModelConfig& config) const;
  bool make_room(const KeptFile& file, std::uintmax_t n_bytes) const;

  std::optional<std::filesystem::path> folder_;  ///< none: nothing is kept
  const LoadReport* report_;
};

/// Of this library: MAJOR.MINOR.PATCH.
std::string library_version();
/// How int8 matrices are packed here, which follows from the CPU.
std::string kernel_form();

/// Bytes of the tensors that a kept file of such a model has.
std::int64_t prepared_bytes(const hf::ModelConfig& config);

}  // namespace anabranch::torch
