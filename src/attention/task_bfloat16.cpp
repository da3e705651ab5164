// Branch attention over K and V in bfloat16.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "task_bfloat16.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include "task-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

RunTask choose_bfloat16(std::int32_t head_dim) { return bfloat16_exact_task<Bfloat16>(head_dim); }

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(choose_bfloat16);

RunTask bfloat16_task(std::int32_t head_dim) { return HWY_DYNAMIC_DISPATCH(choose_bfloat16)(head_dim); }

}  // namespace anabranch::attention
#endif
