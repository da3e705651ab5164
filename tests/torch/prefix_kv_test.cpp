// K and V of a runner as bytes: a prefix cache that is saved and restored into another runner goes on as if nothing had
// happened.
#include "catch.hpp"
#include "torch/tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <anabranch/cache/prefix_file.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
using PrefixTokens = std::vector<ab::TokenId>;

/// Feeds `tokens` to a sequence and returns the logits of the last one.
std::vector<float> logits_behind(ab::torch::CausalLm& model, ab::KvCache& cache, ab::SequenceId sequence,
                                 const PrefixTokens& tokens) {
  ab::Step step = cache.begin_step();
  step.append(sequence, tokens, ab::Logits::last);
  const ab::PlanResult plan = step.plan();
  REQUIRE(plan);
  const auto row = model(*plan).row(0);
  std::vector<float> logits(row.begin(), row.end());
  step.commit();
  return logits;
}

}  // namespace

TEST_CASE("a prefix that was saved and restored gives the logits of one that was computed") {
  using Element = ab::attention::Element;
  const ab::test::TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 3));
  for (const Element kv : {Element::float32, Element::bfloat16, Element::float16, Element::int8}) {
    auto old = ab::torch::CausalLm::load(folder.path(), {.weights = ab::torch::Weights::float32, .kv = kv});
    ab::KvCache cache;
    ab::PrefixCache prefixes(cache);
    const PrefixTokens prompt = {5, 3, 8, 1, 9, 2, 7}, more = {4, 6};
    const ab::SequenceId sequence = cache.create_sequence();
    logits_behind(old, cache, sequence, prompt);
    prefixes.keep(sequence, ab::StructuredPrompt(prompt));
    std::vector<std::byte> file;
    const ab::KvBytes old_bytes = old.kv_bytes("tiny");
    ab::PrefixFile(prefixes, old_bytes).save([&](std::span<const std::byte> b) {
      file.insert(file.end(), b.begin(), b.end());
    });

    auto fresh = old.with_own_slots();
    ab::KvCache other({.n_pages = 40, .page_size = 3});
    ab::PrefixCache restored(other);
    const ab::KvBytes fresh_bytes = fresh.kv_bytes("tiny");
    std::size_t at = 0;
    const ab::PrefixFileCounts counts = ab::PrefixFile(restored, fresh_bytes).restore([&](std::span<std::byte> to) {
      const std::size_t n = std::min(to.size(), file.size() - at);
      std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(at), n, to.begin());
      at += n;
      return n;
    });
    CHECK(counts.n_tokens == 7);
    const ab::PrefixHit computed_hit = prefixes.take(prompt), restored_hit = restored.take(prompt);
    REQUIRE(restored_hit.n_tokens == 7);
    const std::vector<float> a = logits_behind(old, cache, computed_hit.sequence, more);
    const std::vector<float> b = logits_behind(fresh, other, restored_hit.sequence, more);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < 1e-4f);
    CHECK(std::abs(a[0] - a[1]) > 1e-4f);  // they are not all the same

    std::vector<std::byte> some(static_cast<std::size_t>(old_bytes.bytes_per_slot));
    CHECK_THROWS_AS(old_bytes.read(-1, 1, some), ab::Error);
    CHECK_THROWS_AS(old_bytes.read(0, 2, some), ab::Error);
    CHECK_THROWS_AS(old_bytes.write(0, 2, some), ab::Error);
    CHECK(fresh_bytes.model != fresh.kv_bytes("another").model);
  }
}
