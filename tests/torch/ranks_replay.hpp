// Runs a model on several ranks, threads here, and hands rank 0's to the caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include <anabranch/torch/causal_lm.hpp>

#include "support/thread_ranks.hpp"
#include "torch/random_script.hpp"

namespace anabranch::test {

/// A tree of two prompts, grown by some operations.
inline TreeScript random_tree(unsigned seed, int n_operations, TokenId vocabulary) {
  const RandomScript grown(seed, 2, n_operations,
                           {.mix = {.append = 8, .fork = 4, .join = 4, .rewind = 2, .adopt = 1, .drop = 1},
                            .max_sequences = 10,
                            .long_tokens = 9,
                            .policies = {Positions::sequential, Positions::longest},
                            .take_back = TakeBack::settled},
                           vocabulary);
  return grown.script();
}

/// Loads a part of the model on each rank; the others follow while `lead` runs. Returns what each rank has sent from
/// its load on.
inline std::vector<std::int64_t> with_ranks(std::int32_t n, const std::filesystem::path& folder,
                                            const torch::LoadOptions& options,
                                            const std::function<void(torch::CausalLm&)>& lead) {
  std::vector<std::int64_t> n_sent(static_cast<std::size_t>(n));
  run_ranks(n, [&](Collective& ranks) {
    torch::LoadOptions own = options;
    own.ranks = &ranks;
    std::int64_t at_first = 0;
    {
      torch::CausalLm model = torch::CausalLm::load(folder, own);
      at_first = ranks.traffic().n_bytes;
      if (ranks.rank() == 0)
        lead(model);
      else
        model.follow();
    }
    n_sent[static_cast<std::size_t>(ranks.rank())] = ranks.traffic().n_bytes - at_first;
  });
  return n_sent;
}

}  // namespace anabranch::test
