#include "shard.hpp"

#include <algorithm>

#include <anabranch/error.hpp>

namespace anabranch::torch {
namespace {

Shard part_of_model(const hf::ModelConfig& c, Combine combine, std::int32_t rank, std::int32_t n_ranks) {
  const Range heads = part_of(c.n_kv_heads, rank, n_ranks);
  const Range rows = combine == Combine::gather ? part_of(c.hidden, rank, n_ranks) : Range{0, c.hidden};
  return {rank,
          n_ranks,
          combine,
          heads.times(c.n_heads / c.n_kv_heads * c.head_dim),
          heads.times(c.head_dim),
          part_of(c.ffn, rank, n_ranks),
          rows,
          part_of(c.vocabulary, rank, n_ranks)};
}

}  // namespace

Range part_of(std::int32_t n, std::int32_t rank, std::int32_t n_ranks) noexcept {
  const std::int32_t least = n / n_ranks, more = n % n_ranks;
  const std::int32_t begin = rank * least + std::min(rank, more);
  return {begin, begin + least + (rank < more ? 1 : 0)};
}

Shard shard_of(const hf::ModelConfig& config, Weights weights, std::int32_t rank, std::int32_t n_ranks) {
  if (n_ranks > config.n_kv_heads)
    fail(Status::bad_argument, n_ranks, " ranks for a model of ", config.n_kv_heads,
         " KV heads; every rank needs at least one");
  return part_of_model(config, weights == Weights::int8 && n_ranks > 1 ? Combine::gather : Combine::sum, rank, n_ranks);
}

hf::ModelConfig config_of(const hf::ModelConfig& config, const Shard& shard) {
  hf::ModelConfig part = config;
  part.n_heads = shard.queries.size() / config.head_dim;
  part.n_kv_heads = shard.keys.size() / config.head_dim;
  part.ffn = shard.ffn.size();
  part.vocabulary = shard.vocabulary.size();
  return part;
}

AllRanges ranges_of(const hf::ModelConfig& config, const Shard& shard) {
  AllRanges all;
  for (std::int32_t rank = 0; rank < shard.n_ranks; ++rank) {
    const Shard other = part_of_model(config, shard.combine, rank, shard.n_ranks);
    all.queries.push_back(other.queries);
    all.ffn.push_back(other.ffn);
    all.hidden.push_back(other.hidden);
    all.vocabulary.push_back(other.vocabulary);
  }
  return all;
}

}  // namespace anabranch::torch
