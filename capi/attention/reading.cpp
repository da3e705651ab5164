#include "reading.hpp"

#include <type_traits>

#include "plan_layout.hpp"
#include "structs.hpp"

namespace anabranch::capi {
namespace {

static_assert(static_cast<int>(attention::Element::float32) == ANB_ELEMENT_FLOAT32 &&
              static_cast<int>(attention::Element::bfloat16) == ANB_ELEMENT_BFLOAT16 &&
              static_cast<int>(attention::Element::float16) == ANB_ELEMENT_FLOAT16 &&
              static_cast<int>(attention::Element::int8) == ANB_ELEMENT_INT8);
static_assert(std::is_same_v<Slot, anb_slot>);

/// Returns `standard` for 0; any other stride must be at least `least`.
std::int64_t read_stride(std::int64_t stride, std::int64_t standard, std::int64_t least, const char* name) {
  if (stride == 0) return standard;
  if (stride < least) fail(Status::bad_argument, name, " is ", stride, ", must be ", least, " or more, or 0");
  return stride;
}

}  // namespace

std::span<const View> read_views(const anb_view* views, std::int32_t n) {
  need_array(views, n, "views");
  const auto* first = reinterpret_cast<const View*>(views);
  const std::span<const View> all(first, first + n);
  for (const View& view : all) need_array(view.runs, view.n_runs, "the runs of a view");
  return all;
}

std::span<const VisibilityGroup> read_groups(const anb_group* groups, std::int32_t n) {
  need_array(groups, n, "groups");
  for (std::int32_t i = 0; i < n; ++i)
    if (groups[i].visibility != ANB_VISIBILITY_FULL && groups[i].visibility != ANB_VISIBILITY_CAUSAL)
      fail(Status::bad_argument, "group ", i, ": visibility is ", groups[i].visibility,
           ", must be 0 (full) or 1 (causal)");
  const auto* first = reinterpret_cast<const VisibilityGroup*>(groups);
  return {first, first + n};
}

attention::HeadShape read_shape(const anb_attention_options& options) {
  return {options.query_heads, options.kv_heads, options.head_dim};
}

attention::ScoreOptions read_score_options(const anb_attention_options& options) {
  return {.scale = options.scale, .softcap = options.softcap, .window = options.window};
}

attention::KvTensors read_kv(const anb_attention_kv* from, const attention::HeadShape& shape) {
  const auto s = read_struct(need(from, "kv"), anb_attention_kv ANB_ATTENTION_KV_INIT, "anb_attention_kv");
  if (s.element < ANB_ELEMENT_FLOAT32 || s.element > ANB_ELEMENT_INT8)
    fail(Status::bad_argument, "element is ", s.element, ", must be 0 to 3");
  if (s.n_slots < 0) fail(Status::bad_argument, "n_slots is ", s.n_slots, ", must be 0 or more");
  attention::KvTensors kv;
  kv.element = static_cast<attention::Element>(s.element);
  kv.n_slots = s.n_slots;
  kv.keys = need(s.keys, "keys of kv");
  kv.values = need(s.values, "values of kv");
  kv.slot_stride = read_stride(s.slot_stride, shape.kv_width(), shape.head_dim, "slot_stride");
  kv.head_stride = read_stride(s.head_stride, shape.head_dim, shape.head_dim, "head_stride");
  if (kv.element != attention::Element::int8) return kv;
  kv.key_scales = need(s.key_scales, "key_scales of an int8 kv");
  kv.value_scales = need(s.value_scales, "value_scales of an int8 kv");
  kv.scale_slot_stride = read_stride(s.scale_slot_stride, shape.kv_heads, 1, "scale_slot_stride");
  kv.scale_head_stride = read_stride(s.scale_head_stride, 1, 1, "scale_head_stride");
  return kv;
}

attention::Rows read_rows(const anb_attention_rows* from, const attention::HeadShape& shape) {
  const auto r = read_struct(need(from, "rows"), anb_attention_rows ANB_ATTENTION_ROWS_INIT, "anb_attention_rows");
  attention::Rows rows;
  rows.queries = r.queries;
  rows.out = r.out;
  rows.lse = r.lse;
  rows.query_stride = read_stride(r.query_stride, shape.q_width(), shape.q_width(), "query_stride");
  rows.out_stride = read_stride(r.out_stride, shape.q_width(), shape.q_width(), "out_stride");
  return rows;
}

anb_attention_new_rows read_new_rows(const anb_attention_new_rows* from, const attention::HeadShape& shape,
                                     std::int32_t n_slots) {
  auto rows =
      read_struct(need(from, "new_rows"), anb_attention_new_rows ANB_ATTENTION_NEW_ROWS_INIT, "anb_attention_new_rows");
  need_array(rows.keys, rows.n_rows, "keys");
  need_array(rows.values, rows.n_rows, "values");
  need_array(rows.slots, rows.n_rows, "slots");
  rows.row_stride = read_stride(rows.row_stride, shape.kv_width(), shape.kv_width(), "row_stride");
  for (std::int32_t r = 0; r < rows.n_rows; ++r)
    if (rows.slots[r] < 0 || rows.slots[r] >= n_slots)
      fail(Status::bad_argument, "row ", r, " has slot ", rows.slots[r], ", the K/V tensors have ", n_slots);
  return rows;
}

}  // namespace anabranch::capi
