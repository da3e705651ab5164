// Branch attention over K and V in int8.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "task_int8.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include "task-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

RunTask choose_int8(std::int32_t head_dim) { return bfloat16_exact_task<Int8>(head_dim); }

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(choose_int8);

RunTask int8_task(std::int32_t head_dim) { return HWY_DYNAMIC_DISPATCH(choose_int8)(head_dim); }

}  // namespace anabranch::attention
#endif
