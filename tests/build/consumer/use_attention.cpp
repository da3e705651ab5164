#include <vector>

#include <anabranch/attention/branch_attention.hpp>

bool use_attention() {
  namespace at = anabranch::attention;
  const anabranch::SlotRun run{0, 1, 0};
  const std::vector<anabranch::View> views{{&run, 1, 0, 1, 0, 1}};
  const std::vector<anabranch::VisibilityGroup> groups{{0, 1, 0, 1, 1, anabranch::Visibility::full}};
  const at::HeadShape shape{1, 1, 2};
  float kv[2] = {3, 4}, out[2] = {}, query[2] = {1, 1};
  at::BranchAttention attention(shape);
  attention.plan(groups, views, 1);
  std::vector<std::byte> workspace(attention.workspace_bytes(1));
  attention.run({query, 2, out, 2}, make_kv_tensors(shape, at::Element::float32, at::KvLayout::slot_major, 1, kv, kv),
                workspace);
  return out[0] == 3.0f && out[1] == 4.0f;
}
