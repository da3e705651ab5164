// The calls of a step.
#include <algorithm>

#include "cache_object.hpp"
#include "structs.hpp"

using namespace anabranch;
using namespace anabranch::capi;

namespace {

Logits logits_of(std::int32_t logits) {
  if (logits < ANB_LOGITS_NONE || logits > ANB_LOGITS_ALL)
    fail(Status::bad_argument, "logits is ", logits, "; it must be 0 (none), 1 (last) or 2 (all)");
  return static_cast<Logits>(logits);
}

void fork(Step& step, anb_sequence parent, std::int32_t n, const ForkOptions& options, anb_sequence* children) {
  if (n < 1) fail(Status::bad_argument, "fork into ", n, " children; at least 1 is needed");
  need(children, "children");
  step.fork(capi::to_cpp(parent), capi::to_cpp(children, n), options);
}

void join(Step& step, anb_sequence parent, const anb_sequence* children, std::int32_t n, JoinOptions options) {
  need_array(children, n, "children");
  step.join(capi::to_cpp(parent), capi::to_cpp(children, n), options);
}

}  // namespace

Positions anabranch::capi::to_cpp(anb_positions positions) {
  if (positions == ANB_POSITIONS_SEQUENTIAL) return Positions::sequential;
  if (positions == ANB_POSITIONS_LONGEST) return Positions::longest;
  if (positions > 0) return Positions::reserved(positions);
  fail(Status::bad_argument, "positions is ", positions,
       "; it must be 0 (sequential), -1 (longest) or the extent of a reserved range");
}

anb_status anb_step_begin(anb_cache* cache, anb_step** step) {
  return with_cache(cache, [&](CacheObject& object) {
    need(step, "step");
    object.step.emplace(object.cache.begin_step());
    object.step_handle = object.next_step_handle();
    *step = const_cast<anb_step*>(object.step_handle);
    return Status::ok;
  });
}

anb_status anb_step_create_sequence(anb_step* step, anb_position first, anb_sequence* sequence) {
  return with_step(step, [&](CacheObject&, Step& s) {
    need(sequence, "sequence");
    *sequence = capi::to_c(s.create_sequence(first));
    return Status::ok;
  });
}

anb_status anb_step_append(anb_step* step, anb_sequence sequence, const anb_token* tokens, int32_t n, int32_t logits) {
  return with_step(step, [&](CacheObject&, Step& s) {
    const Logits wanted = logits_of(logits);
    if (n < 0) fail(Status::bad_argument, "append of ", n, " tokens; 0 or more are needed");
    if (tokens == nullptr && n > 0)
      fail(Status::bad_argument, "tokens is NULL for an append of ", n,
           "; anb_step_append_unknown adds tokens that only the host will know");
    s.append(capi::to_cpp(sequence), std::span(tokens, tokens + n), wanted);
    return Status::ok;
  });
}

anb_status anb_step_append_unknown(anb_step* step, anb_sequence sequence, int32_t n, int32_t logits) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.append_unknown(capi::to_cpp(sequence), n, logits_of(logits));
    return Status::ok;
  });
}

anb_status anb_step_request_logits(anb_step* step, anb_sequence sequence) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.request_logits(capi::to_cpp(sequence));
    return Status::ok;
  });
}

anb_status anb_step_fork(anb_step* step, anb_sequence parent, int32_t n, anb_positions positions,
                         anb_sequence* children) {
  return with_step(step, [&](CacheObject&, Step& s) {
    fork(s, parent, n, {.positions = capi::to_cpp(positions)}, children);
    return Status::ok;
  });
}

anb_status anb_step_fork_given(anb_step* step, anb_sequence parent, int32_t n, const anb_position* starts,
                               anb_sequence* children) {
  return with_step(step, [&](CacheObject&, Step& s) {
    need_array(starts, n, "starts");
    const std::span<const Position> span(starts, starts + n);
    fork(s, parent, n, {.positions = Positions::given, .starts = span}, children);
    return Status::ok;
  });
}

anb_status anb_step_join(anb_step* step, anb_sequence parent, const anb_sequence* children, int32_t n) {
  return with_step(step, [&](CacheObject&, Step& s) {
    join(s, parent, children, n, {});
    return Status::ok;
  });
}

anb_status anb_step_join_given(anb_step* step, anb_sequence parent, const anb_sequence* children, int32_t n,
                               anb_position next) {
  return with_step(step, [&](CacheObject&, Step& s) {
    if (next < 0) fail(Status::bad_argument, "next is ", next, "; positions start at 0");
    join(s, parent, children, n, {.next = next});
    return Status::ok;
  });
}

anb_status anb_step_rewind(anb_step* step, anb_sequence sequence, int32_t n_tokens) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.rewind(capi::to_cpp(sequence), n_tokens);
    return Status::ok;
  });
}

anb_status anb_step_reject(anb_step* step, anb_sequence sequence, int32_t n) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.reject(capi::to_cpp(sequence), n);
    return Status::ok;
  });
}

anb_status anb_step_adopt(anb_step* step, anb_sequence parent, anb_sequence child) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.adopt(capi::to_cpp(parent), capi::to_cpp(child));
    return Status::ok;
  });
}

anb_status anb_step_drop(anb_step* step, anb_sequence sequence) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.drop(capi::to_cpp(sequence));
    return Status::ok;
  });
}

anb_status anb_step_detach(anb_step* step, anb_sequence sequence) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.detach(capi::to_cpp(sequence));
    return Status::ok;
  });
}

anb_status anb_step_hold(anb_step* step, anb_sequence sequence, int32_t n_slots) {
  return with_step(step, [&](CacheObject&, Step& s) {
    s.hold(capi::to_cpp(sequence), n_slots);
    return Status::ok;
  });
}

anb_status anb_step_plan(anb_step* step, anb_plan* plan) {
  return with_step(step, [&](CacheObject& object, Step& s) {
    check_out(plan, "anb_plan");
    const PlanResult result = s.plan();
    if (!result) {
      write_struct(plan, capi::to_c(result.shortage()));
      return Status::no_room;
    }
    object.plan = &*result;
    write_struct(plan, capi::to_c(*result));
    return Status::ok;
  });
}

anb_status anb_step_commit(anb_step* step) {
  return with_step(step, [&](CacheObject& object, Step& s) {
    s.commit();
    object.end_step();
    return Status::ok;
  });
}

anb_status anb_step_abort(anb_step* step) {
  if (step == nullptr) return ANB_OK;
  return with_step(step, [&](CacheObject& object, Step&) {
    object.end_step();
    return Status::ok;
  });
}
