// The part of a model that one of several processes computes (tensor parallelism).
//
// Every rank has some of the KV heads with their query heads, some columns of the feed-forward, and some rows of the
// vocabulary. The two products that bring these parts together again, the attention's output projection and the
// feed-forward's second matrix, are divided in one of two ways:
//
//   sum      float32, bfloat16: a rank has the columns of its own inputs, and the ranks' results are added up. One
//            exchange for each product; results differ from one process's by rounding.
//   gather   int8: the inputs are brought together first, and a rank has some rows. Two exchanges for each product;
//   every
//            number is computed by one rank as one process computes it, with its bits: the scales of a row's integers
//            follow from the whole row, and a sum of scaled blocks keeps its order.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/torch/load_options.hpp>

namespace anabranch::torch {

/// Heads, columns or rows [begin, end).
struct Range {
  std::int32_t begin = 0, end = 0;
  std::int32_t size() const noexcept { return end - begin; }
  bool has(std::int32_t index) const noexcept { return index >= begin && index < end; }
  Range times(std::int32_t factor) const noexcept { return {begin * factor, end * factor}; }
};

/// Part `rank` of [0, n): parts differ by one at most, the larger ones come first.
Range part_of(std::int32_t n, std::int32_t rank, std::int32_t n_ranks) noexcept;

enum class Combine : std::uint8_t { sum, gather };

struct Shard {
  std::int32_t rank = 0, n_ranks = 1;
  Combine combine = Combine::sum;
  Range queries;     ///< columns of all query heads
  Range keys;        ///< columns of all KV heads
  Range ffn;         ///< columns
  Range hidden;      ///< rows of the two products above: all with `sum`
  Range vocabulary;  ///< rows

  bool alone() const noexcept { return n_ranks == 1; }
};

/// One rank's part; the only rank has all. Throws bad_argument for more ranks than KV heads.
Shard shard_of(const hf::ModelConfig& config, Weights weights, std::int32_t rank, std::int32_t n_ranks);
inline Shard whole_model(const hf::ModelConfig& config) { return shard_of(config, Weights::float32, 0, 1); }

/// The configuration of the part: its heads, its feed-forward, its vocabulary. All else is the model's.
hf::ModelConfig config_of(const hf::ModelConfig& config, const Shard& shard);

/// The parts of all ranks, by rank.
using Ranges = std::vector<Range>;
struct AllRanges {
  Ranges queries, ffn, hidden, vocabulary;
};
AllRanges ranges_of(const hf::ModelConfig& config, const Shard& shard);

}  // namespace anabranch::torch
