// The sampler asks for memory until it has seen an output of each kind, and then no more. In this program because
// operator new is replaced.
#include "refusing_new.hpp"
#include "scripted.hpp"

using namespace scripted;

TEST_CASE("A sampler that has seen its kind of output asks for no more memory") {
  std::vector<float> logits(5001);
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(6 * ab::uniform(ab::trunk_stream(3), static_cast<std::int64_t>(i)));
  const Tokens some = {7, 4000, 20}, all;
  const std::vector<ab::Sampling> kinds = {
      {},
      {.temperature = 0.7f},
      {.temperature = 0.7f, .top_k = 40},
      {.temperature = 0.7f, .top_p = 0.95f},
      {.temperature = 0.7f, .min_p = 0.1f},
      {.temperature = 0.7f, .top_k = 9, .repetition_penalty = 1.2f, .frequency_penalty = 0.5f}};
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    for (const Tokens& allowed : {all, some}) {
      INFO("kind " << kind << (allowed.empty() ? "" : ", some allowed"));
      ab::OutputSettings settings;
      settings.sampling = kinds[kind];
      settings.allowed = allowed;
      settings.forbidden = settings.seen = std::span(some).first(2);
      ab::Sampler sampler;
      const TokenId first = sampler(logits, settings);
      refusing_new::refuse = [] { return true; };
      TokenId second = ab::kUnknownToken;
      try {
        second = sampler(logits, settings);
      } catch (const std::bad_alloc&) {
      }
      refusing_new::refuse = nullptr;
      CHECK(second == first);
    }
  }
}
