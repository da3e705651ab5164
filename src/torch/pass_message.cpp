#include "pass_message.hpp"

#include <concepts>
#include <type_traits>

#include <anabranch/cache/impl/snapshot_bytes.hpp>
#include <anabranch/error.hpp>

#include "byte_hash.hpp"

namespace anabranch::torch {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr const char* kWhat = "the message of rank 0";
constexpr std::size_t kGroup = 6, kView = 4;  ///< numbers of each

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  ByteHash hash;
  hash.add(bytes);
  return hash.value();
}

}  // namespace

template <class V, class T>
requires std::same_as<std::remove_const_t<T>, PlanArrays>
void visit_fields(V& v, T& x) {
  v(x.tokens), v(x.positions), v(x.slots), v(x.outputs), v(x.groups), v(x.views), v(x.segments), v(x.runs);
  v(x.epoch), v(x.n_slots), v(x.page_size);
}

std::vector<std::byte> to_bytes(const PassMessage& message) {
  anabranch::impl::ByteWriter body;
  body(static_cast<std::uint8_t>(message.order));
  body(message.runner);
  body(static_cast<std::uint8_t>(message.path));
  if (message.order == PassOrder::run) body(message.plan);
  anabranch::impl::ByteWriter whole;
  whole(kVersion);
  whole(checksum_of(body.bytes));
  whole.bytes.insert(whole.bytes.end(), body.bytes.begin(), body.bytes.end());
  return std::move(whole.bytes);
}

PassMessage pass_message(std::span<const std::byte> bytes) {
  anabranch::impl::ByteReader reader(bytes, kWhat);
  std::uint32_t version = 0;
  std::uint64_t checksum = 0;
  reader(version);
  if (version != kVersion)
    fail(Status::bad_snapshot, kWhat, " has version ", version, "; this library reads version ", kVersion);
  reader(checksum);
  if (checksum != checksum_of(reader.rest())) fail(Status::bad_snapshot, kWhat, " is damaged: its checksum differs");
  PassMessage message;
  std::uint8_t order = 0, path = 0;
  reader(order), reader(message.runner), reader(path);
  if (order > static_cast<std::uint8_t>(PassOrder::stop) || path > static_cast<std::uint8_t>(AttentionPath::dense))
    fail(Status::bad_snapshot, kWhat, " has order ", order, " and attention path ", path);
  message.order = static_cast<PassOrder>(order);
  message.path = static_cast<AttentionPath>(path);
  if (message.order == PassOrder::run) reader(message.plan);
  if (reader.left() != 0) fail(Status::bad_snapshot, kWhat, " has ", reader.left(), " bytes left over");
  return message;
}

PlanArrays arrays_of(const StepPlan& plan) {
  PlanArrays arrays;
  arrays.tokens.assign(plan.tokens.begin(), plan.tokens.end());
  arrays.positions.assign(plan.positions.begin(), plan.positions.end());
  arrays.slots.assign(plan.slots.begin(), plan.slots.end());
  for (const Output& output : plan.outputs) arrays.outputs.push_back(output.row);
  for (const VisibilityGroup& g : plan.groups)
    for (const std::int32_t number :
         {g.row_begin, g.row_end, g.view_begin, g.view_end, g.n_keys, static_cast<std::int32_t>(g.visibility)})
      arrays.groups.push_back(number);
  for (const View& view : plan.views) {
    for (const std::int32_t number : {view.n_runs, view.begin, view.end, view.first_position})
      arrays.views.push_back(number);
    arrays.segments.push_back(view.segment);
    arrays.runs.insert(arrays.runs.end(), view.runs, view.runs + view.n_runs);
  }
  arrays.epoch = plan.epoch;
  arrays.n_slots = plan.n_slots;
  arrays.page_size = plan.page_size;
  return arrays;
}

PlanOverArrays::PlanOverArrays(const PlanArrays& arrays) {
  const std::size_t n_rows = arrays.tokens.size(), n_views = arrays.segments.size();
  if (arrays.positions.size() != n_rows || arrays.slots.size() != n_rows || arrays.groups.size() % kGroup != 0 ||
      arrays.views.size() != n_views * kView)
    fail(Status::bad_snapshot, kWhat, " has arrays that do not fit together");
  for (const std::int32_t row : arrays.outputs) {
    if (row < 0 || static_cast<std::size_t>(row) >= n_rows)
      fail(Status::bad_snapshot, kWhat, " wants logits of row ", row, " of ", n_rows);
    outputs_.push_back({row, {}});
  }
  for (std::size_t i = 0; i < arrays.groups.size(); i += kGroup) {
    const std::int32_t* const g = &arrays.groups[i];
    if (g[5] != 0 && g[5] != 1) fail(Status::bad_snapshot, kWhat, " has visibility ", g[5]);
    groups_.push_back({g[0], g[1], g[2], g[3], g[4], static_cast<Visibility>(g[5])});
  }
  std::size_t first = 0;
  for (std::size_t i = 0; i < n_views; ++i) {
    const std::int32_t* const v = &arrays.views[i * kView];
    if (v[0] < 0 || static_cast<std::size_t>(v[0]) > arrays.runs.size() - first)
      fail(Status::bad_snapshot, kWhat, " has a view of ", v[0], " runs; ", arrays.runs.size() - first, " are left");
    views_.push_back({arrays.runs.data() + first, v[0], v[1], v[2], v[3], arrays.segments[i]});
    first += static_cast<std::size_t>(v[0]);
  }
  sequences_.resize(n_rows);
  plan_.tokens = arrays.tokens;
  plan_.positions = arrays.positions;
  plan_.slots = arrays.slots;
  plan_.sequences = sequences_;
  plan_.outputs = outputs_;
  plan_.groups = groups_;
  plan_.views = views_;
  plan_.epoch = arrays.epoch;
  plan_.n_slots = arrays.n_slots;
  plan_.page_size = arrays.page_size;
}

}  // namespace anabranch::torch
