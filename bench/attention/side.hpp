// One competitor of the attention bench.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "problem.hpp"

namespace anabranch::bench {

/// The bar of the report that a competitor counts for.
enum class Kind : std::uint8_t {
  ours,
  ggml,             ///< (a) llama.cpp's flash attention over its unified cache
  torch_dense,      ///< (b) one call, dense mask
  torch_by_branch,  ///< (c) every branch alone over the trunk and its own keys
};

/// A side keeps K and V of several layers, so that those of a layer have left the caches when its turn comes again, as
/// in a model. A run attends in all of them, one after the other.
class Side {
 public:
  Side() = default;
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  virtual ~Side() = default;
  virtual Kind kind() const = 0;
  virtual std::string name() const = 0;
  /// Type of K and V; the limit of this side follows from it.
  virtual attention::Element element() const = 0;
  virtual int n_layers() const = 0;
  virtual void set_threads(int n_threads) = 0;
  virtual void run() = 0;
  /// [n_rows, query_heads, head_dim] of the last layer of the last run.
  virtual std::vector<float> result() = 0;
};
using Sides = std::vector<std::unique_ptr<Side>>;

/// Layers of `bytes` each that do not fit any cache together.
inline int layers_of(std::size_t bytes) {
  constexpr std::size_t kBeyondCaches = std::size_t{64} << 20;
  const std::size_t n = (kBeyondCaches + bytes - 1) / bytes;
  return static_cast<int>(n < 1 ? 1 : n > 256 ? 256 : n);
}

/// One side per element type.
void add_ours(const Problem& problem, std::span<const attention::Element> elements, Sides& sides);
void add_ggml(const Problem& problem, Sides& sides);
/// Dense and by branch, in bfloat16 and float32. A side whose K and V take more than `max_bytes` is left out.
void add_torch(const Problem& problem, std::size_t max_bytes, Sides& sides);

/// The exact result in double: [n_rows, query_heads, head_dim].
std::vector<float> dense_reference(const Problem& problem);

}  // namespace anabranch::bench
