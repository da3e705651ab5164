// The sampler's loops over all logits, for programs that are compiled without optimisation: there they would take more
// time than the model does. Linked first, these definitions are taken instead of the program's own.
#include <span>

#include <anabranch/decode/impl/logit_blocks.hpp>
#include <anabranch/decode/impl/rough_weights.hpp>

namespace anabranch::impl {

template class LogitBlocks<float>;
template void rough_weights<float>(std::span<const float, 256>, float, float, std::span<float, 256>) noexcept;

// An inline function is in the object when its address is.
extern double (*const kRoughSum)(std::span<const float, 256>) noexcept;
double (*const kRoughSum)(std::span<const float, 256>) noexcept = &rough_sum;

}  // namespace anabranch::impl
