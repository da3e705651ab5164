// The functions of anabranch_attention.h.
#include <memory>

#include <anabranch/attention/branch_attention.hpp>

#include "handles.hpp"
#include "reading.hpp"
#include "structs.hpp"
#include "threads.hpp"

namespace anabranch::capi {
namespace {

/// The object of a handle.
struct AttentionObject {
  AttentionObject(const attention::HeadShape& shape, const attention::ScoreOptions& options)
      : kernels(shape, options) {}
  Condition condition;
  attention::BranchAttention kernels;
  bool planned = false;
};

AttentionObject* find_attention(const anb_attention* handle) noexcept {
  return static_cast<AttentionObject*>(find_object(HandleKind::attention, handle));
}

/// Runs `body(object)` for the object of a handle, under the guard.
template <class Body>
anb_status with_attention(const anb_attention* handle, Body&& body) noexcept {
  AttentionObject* object = find_attention(handle);
  if (object == nullptr)
    return report(Status::bad_handle, "no attention: the handle is NULL, was destroyed, or is of another kind");
  return guard(object->condition, [&] {
    body(*object);
    return Status::ok;
  });
}

const attention::BranchAttention& planned(const AttentionObject& object) {
  if (!object.planned) fail(Status::wrong_state, "nothing has been planned yet");
  return object.kernels;
}

}  // namespace
}  // namespace anabranch::capi

using namespace anabranch;
using namespace anabranch::capi;

#define ANABRANCH_INIT(name, macro)                                        \
  void anb_attention_##name##_init(anb_attention_##name* p, size_t size) { \
    init_struct(p, size, anb_attention_##name macro);                      \
  }

ANABRANCH_INIT(options, ANB_ATTENTION_OPTIONS_INIT)
ANABRANCH_INIT(kv, ANB_ATTENTION_KV_INIT)
ANABRANCH_INIT(new_rows, ANB_ATTENTION_NEW_ROWS_INIT)
ANABRANCH_INIT(rows, ANB_ATTENTION_ROWS_INIT)
ANABRANCH_INIT(threads, ANB_ATTENTION_THREADS_INIT)

const char* anb_attention_last_error(void) { return last_text(); }

anb_status anb_attention_create(const anb_attention_options* options, anb_attention** attention) {
  return guard([&] {
    need(attention, "attention");
    const auto o = read_struct(need(options, "options"), anb_attention_options ANB_ATTENTION_OPTIONS_INIT,
                               "anb_attention_options");
    auto object = std::make_unique<AttentionObject>(read_shape(o), read_score_options(o));
    void* handle = make_handle(HandleKind::attention, object.get());
    if (handle == nullptr) fail_no_handle();
    static_cast<void>(object.release());  // the handle's now
    *attention = static_cast<anb_attention*>(handle);
    return Status::ok;
  });
}

void anb_attention_destroy(anb_attention* attention) {
  AttentionObject* object = find_attention(attention);
  if (object == nullptr || object->condition.busy) return;
  remove_handle(HandleKind::attention, attention);
  delete object;
}

anb_status anb_attention_plan(anb_attention* attention, const anb_group* groups, int32_t n_groups,
                              const anb_view* views, int32_t n_views, int32_t n_rows) {
  return with_attention(attention, [&](AttentionObject& object) {
    object.kernels.plan(read_groups(groups, n_groups), read_views(views, n_views), n_rows);
    object.planned = true;
  });
}

anb_status anb_attention_workspace(const anb_attention* attention, int32_t n_workers, size_t* n_bytes) {
  return with_attention(attention, [&](const AttentionObject& object) {
    need(n_bytes, "n_bytes");
    check_workers(n_workers);
    *n_bytes = planned(object).workspace_bytes(n_workers);
  });
}

anb_status anb_attention_store(const anb_attention* attention, const anb_attention_new_rows* new_rows,
                               const anb_attention_kv* kv) {
  return with_attention(attention, [&](const AttentionObject& object) {
    const attention::HeadShape& shape = object.kernels.shape();
    const attention::KvTensors to = read_kv(kv, shape);
    const anb_attention_new_rows from = read_new_rows(new_rows, shape, to.n_slots);
    attention::store_rows(from.keys, from.values, from.row_stride, {from.slots, from.slots + from.n_rows}, shape, to);
  });
}

anb_status anb_attention_run(const anb_attention* attention, const anb_attention_rows* rows, const anb_attention_kv* kv,
                             const anb_attention_threads* threads, void* workspace, size_t n_bytes) {
  return with_attention(attention, [&](const AttentionObject& object) {
    const attention::BranchAttention& plan = planned(object);
    const attention::Rows r = read_rows(rows, plan.shape());
    const attention::KvTensors s = read_kv(kv, plan.shape());
    if (n_bytes > 0) need(workspace, "workspace");
    CallersThreads lent(threads);
    plan.run(r, s, {static_cast<std::byte*>(workspace), n_bytes}, lent.loop());
    lent.check();
  });
}
