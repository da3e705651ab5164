// Decodes with the markup of multiverse.hpp and the sampler of min_p.hpp. The model is a stand-in that knows one answer
// by heart, so that the program runs anywhere and shows the decoder's part alone; a real one computes its logits.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/decode/decoder.hpp>

#include "../common/output.hpp"
#include "min_p.hpp"
#include "multiverse.hpp"

namespace ab = anabranch;

namespace {

const std::vector<std::string> kVocabulary = {
    "<end>", "<Outline>", "</Outline>", "<Parallel>", "<Path>", "</Path>", "<Conclusion>", "How to stay well? ",
    "Sleep", "Food",      "Air",        ": go",       " to",    " bed",    " at",          " the",
    " same", " hour",     ".\n",        ": eat",      " many",  " plants", ": take",       " a",
    " walk", " every",    " day",       "Keep",       " it",    " up."};

const auto kVocabularySize = static_cast<std::int32_t>(kVocabulary.size());

/// The tokens of each branch, by its number in its block; -1 is the trunk.
const std::map<int, std::vector<ab::TokenId>> kAnswer = {{-1, {1, 8, 2, 1, 9, 2, 1, 10, 2, 3, 27, 28, 29, 0}},
                                                         {0, {11, 12, 13, 14, 15, 16, 17, 25, 26, 18, 5}},
                                                         {1, {19, 20, 21, 14, 15, 16, 17, 25, 26, 18, 5}},
                                                         {2, {22, 23, 24, 25, 26, 14, 15, 16, 17, 18, 5}}};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    std::fprintf(stderr, "error: this program takes no options and no arguments; it was given %s\n", argv[1]);
    return 2;
  }
  ab::KvCache cache({.n_pages = 64});
  const auto to_text = [](std::span<const ab::TokenId> tokens, std::string& out) {
    for (const ab::TokenId token : tokens) out += kVocabulary[static_cast<std::size_t>(token)];
  };
  ab::Decoder decoder{cache, Multiverse({1, 2, 3, 4, 5, 6}), to_text,
                      ab::DecoderOptions{.positions = ab::Positions::longest, .end_of_text = {0}}, MinP(0.1)};
  const ab::RequestId id = decoder.submit({7}, {.sampling = {.temperature = 0.7f}});

  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    if (!plan) return std::puts("the pool is too small"), 1;
    const auto n_outputs = static_cast<std::int32_t>(plan.output_settings().size());
    std::vector<float> logits;  // [n_outputs, vocabulary]; a model computes them from *plan
    for (const ab::OutputSettings& output : plan.output_settings()) {
      const auto path = decoder.branch(output.request, output.branch).path;
      const auto& tokens = kAnswer.at(path.empty() ? -1 : path.back().branch);
      const ab::TokenId next = tokens.at(static_cast<std::size_t>(output.index));
      for (ab::TokenId token = 0; token < kVocabularySize; ++token) logits.push_back(token == next ? 8.0f : 0.0f);
    }
    for (const ab::Event& event : decoder.commit({logits.data(), n_outputs, kVocabularySize})) {
      if (event.kind == ab::Event::Kind::fork) std::printf("fork into %d branches\n", event.n_branches);
      if (!event.text.empty()) std::printf("  sequence %d: %s\n", event.branch, event.text.c_str());
      if (event.kind == ab::Event::Kind::join) std::puts("join");
    }
  }
  const ab::Statistics& s = decoder.statistics(id);
  std::printf("\n%s\n%d tokens of text in %d passes; serial: %d\n", decoder.text(id).c_str(), s.n_text(), s.n_passes,
              s.n_serial_passes());
  return example::output_arrived() ? 0 : 1;
}
