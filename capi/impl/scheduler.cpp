// Schedulers: they belong to a decoder, and go with it.
#include <limits>
#include <memory>

#include <anabranch/decode/scheduler.hpp>

#include "anabranch_scheduler.h"
#include "decoder_object.hpp"
#include "structs.hpp"

using namespace anabranch;
using namespace anabranch::capi;

namespace {

/// The object behind a scheduler handle.
struct SchedulerObject {
  SchedulerObject(DecoderObject& on, const SchedulerOptions& options) : decoder(on), core(on.core, options) {}
  DecoderObject& decoder;
  Scheduler<DecoderObject::Core> core;
};

/// Runs `body(object)` for the scheduler of a handle, under the guard of its decoder's cache.
template <class Body>
anb_status with_scheduler(const anb_scheduler* handle, Body&& body) noexcept {
  auto* object = static_cast<SchedulerObject*>(find_object(HandleKind::scheduler, handle));
  if (object == nullptr)
    return report(Status::bad_handle, "no scheduler: the handle is NULL, was destroyed, or is another");
  return guard(object->decoder.cache.condition, [&] { return body(*object); });
}

/// The same for a request of it.
template <class Body>
anb_status with_request(const anb_scheduler* handle, anb_request request, Body&& body) noexcept {
  return with_scheduler(handle, [&](SchedulerObject& object) {
    body(object.core, object.decoder.to_cpp(request));
    return Status::ok;
  });
}

}  // namespace

anb_status anb_scheduler_create(anb_decoder* decoder, const anb_scheduler_options* options,
                                anb_scheduler** scheduler) {
  return with_decoder(decoder, [&](DecoderObject& on) {
    need(scheduler, "scheduler");
    const auto o = read_struct(options, anb_scheduler_options ANB_SCHEDULER_OPTIONS_INIT, "anb_scheduler_options");
    if (on.scheduler) fail(Status::wrong_state, "the decoder has a scheduler already; destroy that one first");
    const SchedulerOptions wanted{o.max_queued, o.max_running, o.target_seconds};
    auto made = std::make_shared<SchedulerObject>(on, wanted);
    void* const handle = make_handle(HandleKind::scheduler, made.get());
    if (handle == nullptr) fail_no_handle();
    on.scheduler = std::move(made);
    on.scheduler_handle = handle;
    *scheduler = static_cast<anb_scheduler*>(handle);
    return Status::ok;
  });
}

void anb_scheduler_destroy(anb_scheduler* scheduler) {
  auto* object = static_cast<SchedulerObject*>(find_object(HandleKind::scheduler, scheduler));
  if (object == nullptr || object->decoder.cache.condition.busy) return;
  remove_handle(HandleKind::scheduler, scheduler);
  object->decoder.scheduler.reset();
}

anb_status anb_scheduler_submit(anb_scheduler* scheduler, const anb_token* prompt, int32_t n,
                                const anb_request_options* options, const anb_schedule* schedule,
                                anb_request* request) {
  return with_scheduler(scheduler, [&](SchedulerObject& object) {
    need_array(prompt, n, "prompt");
    need(request, "request");
    const auto when = read_struct(schedule, anb_schedule ANB_SCHEDULE_INIT, "anb_schedule");
    ScheduleOptions wanted{when.priority};
    if (when.deadline != 0) wanted.deadline = when.deadline;
    const RequestOptions checked = read_request_options(object.decoder, options);
    const RequestId id = object.core.submit({prompt, prompt + n}, checked, wanted);
    if (id == kNoRequest) return Status::no_room;
    *request = object.decoder.to_c(id);
    return Status::ok;
  });
}

anb_status anb_scheduler_plan(anb_scheduler* scheduler, double now, anb_plan* plan) {
  return with_scheduler(scheduler, [&](SchedulerObject& object) {
    check_out(plan, "anb_plan");
    return show_plan(object.decoder, object.core.plan(now), plan);
  });
}

anb_status anb_scheduler_commit(anb_scheduler* scheduler, const anb_logits* logits, double now) {
  return with_scheduler(scheduler, [&](SchedulerObject& object) {
    return finish_pass(object.decoder, object.core.commit(read_logits(logits), now));
  });
}

anb_status anb_scheduler_commit_sampled(anb_scheduler* scheduler, const anb_token* tokens, int32_t n, double now) {
  return with_scheduler(scheduler, [&](SchedulerObject& object) {
    need_array(tokens, n, "tokens");
    return finish_pass(object.decoder, object.core.commit_sampled({tokens, tokens + n}, now));
  });
}

anb_status anb_scheduler_abort(anb_scheduler* scheduler) {
  return with_scheduler(scheduler, [](SchedulerObject& object) {
    object.core.abort();
    object.decoder.end_plan();
    return Status::ok;
  });
}

anb_status anb_scheduler_cancel(anb_scheduler* scheduler, anb_request request) {
  return with_request(scheduler, request, [](auto& core, RequestId id) { core.cancel(id); });
}

anb_status anb_scheduler_finish(anb_scheduler* scheduler, anb_request request) {
  return with_request(scheduler, request, [](auto& core, RequestId id) { core.finish(id); });
}

anb_status anb_scheduler_release(anb_scheduler* scheduler, anb_request request) {
  return with_request(scheduler, request, [](auto& core, RequestId id) { core.release(id); });
}

anb_status anb_scheduler_get_state(const anb_scheduler* scheduler, anb_scheduler_state* state) {
  return with_scheduler(scheduler, [&](const SchedulerObject& object) {
    check_out(state, "anb_scheduler_state");
    const SchedulerState from = object.core.state();
    anb_scheduler_state s = ANB_SCHEDULER_STATE_INIT;
    s.n_running = from.n_running;
    s.n_queued = from.n_queued;
    s.n_preempted = from.n_preempted;
    s.n_evicted = from.n_evicted;
    s.n_deferred = from.n_deferred;
    s.load = object.core.row_costs().load();
    write_struct(state, s);
    return Status::ok;
  });
}
