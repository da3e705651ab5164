// How surprising a text is to a model.
#pragma once

#include <string>

#include <anabranch/torch/causal_lm.hpp>

namespace evaluate {

/// Mean loss per token (natural log) of `answer` as the answer to `question`, end of text not counted; 0 for an empty
/// one. Costs one pass over both, and logits [answer tokens, vocabulary].
double text_loss(anabranch::torch::CausalLm& model, const std::string& question, const std::string& answer);

}  // namespace evaluate
