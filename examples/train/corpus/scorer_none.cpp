#include <anabranch/error.hpp>

#include "scorer.hpp"

namespace corpus_tool {

std::unique_ptr<Scorer> load_scorer(const ScorerOptions&) {
  ab::fail(ab::Status::unsupported, "this build has no LibTorch, which --model needs");
}

}  // namespace corpus_tool
