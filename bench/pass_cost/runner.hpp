// One competitor of the bench: a model, in some type, that runs passes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../machine/machine.hpp"

namespace anabranch::bench {

inline constexpr std::int32_t kMaxRows = 16;
inline constexpr std::int32_t kMaxKeys = 8192;  ///< the model's context

/// A token that no run depends on.
inline std::int32_t some_token(std::int32_t i) {
  return 100 + static_cast<std::int32_t>(std::int64_t{i} * 7919 % 40000);
}

/// Seconds of one pass.
struct PassTime {
  double model = 0;      ///< from the tokens to the logits
  double with_next = 0;  ///< and until the likeliest next token of every row is known
};

class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;
  virtual std::string name() const = 0;
  virtual bool ours() const = 0;

  /// Forgets everything and reads a trunk of `n_keys` tokens.
  virtual void set_trunk(std::int32_t n_keys) = 0;
  /// Branches that see the trunk and one token of their own. REQUIRES: a trunk.
  virtual void set_branches(std::int32_t n_branches) = 0;
  /// One pass over one new token of every branch. It leaves no trace, so that all passes are alike.
  virtual PassTime branch_pass() = 0;
  /// The same with one new token of the trunk.
  virtual PassTime serial_pass() = 0;
  /// Seconds to read a prompt of `n_tokens`, the likeliest next token included. Forgets trunk and branches.
  virtual double prefill(std::int32_t n_tokens) = 0;

  /// The least seconds that the machine needs for a pass of `n_rows` over `n_keys` and their own; 0: not known.
  virtual double limit(std::int32_t n_rows, std::int32_t n_keys, const Speed& speed) const = 0;
  /// Where the time of the passes since `set_branches` went; empty: not known.
  virtual std::string shares() const { return {}; }
};
using Runners = std::vector<std::unique_ptr<Runner>>;

/// Every weight type of the LibTorch runner that `wanted` names (empty: all), int8 first.
void add_ours(const std::string& folder, const std::vector<std::string>& wanted, int n_threads, Runners& runners);

struct LlamaSetup {
  std::string file;             ///< GGUF
  std::string type;             ///< as in the file's name
  std::int32_t max_rows = 512;  ///< n_ubatch
  int n_threads = 1;
};
/// llama.cpp with flash attention off and on.
void add_llama(const LlamaSetup& setup, Runners& runners);

}  // namespace anabranch::bench
