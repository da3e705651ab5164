// The sampler, compiled once.
#include <anabranch/decode/sampler.hpp>

namespace anabranch {

template class BasicSampler<float>;
template std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const float>, TokenId,
                                                                              std::int32_t);

}  // namespace anabranch
