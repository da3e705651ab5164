// Branch attention over K and V in float32.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "task_float32.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include "task-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

RunTask choose_float32(std::int32_t head_dim) { return task_of_dim<Float32, FloatForm<Float32>>(head_dim); }

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(choose_float32);

RunTask float32_task(std::int32_t head_dim) { return HWY_DYNAMIC_DISPATCH(choose_float32)(head_dim); }

}  // namespace anabranch::attention
#endif
