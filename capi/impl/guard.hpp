// The guard: everything that enters through the border goes through here, and nothing but a status leaves.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

#include "anabranch.h"
#include "handles.hpp"

namespace anabranch::capi {

constexpr anb_status to_c(Status status) noexcept { return static_cast<anb_status>(status); }

/// Keeps a status' text for last_text, cut to what its buffer holds; returns the status. Allocates nothing.
anb_status report(Status status, const char* text) noexcept;

/// The error text that this thread kept last; "" before any.
const char* last_text() noexcept;

/// The part of a handle's object that the guard uses. A decoder shares its cache's.
struct Condition {
  bool busy = false;      ///< a call is inside
  bool poisoned = false;  ///< an invariant is broken
};

/// The status of the exception that is being handled, with its text kept.
anb_status report_exception() noexcept;

/// Runs `body`, which returns a Status (of an outcome, or ok) or throws.
template <class Body>
anb_status guard(Condition& condition, Body&& body) noexcept {
  if (condition.poisoned)
    return report(Status::poisoned, "an earlier call broke an invariant; only destroy is left for this handle");
  if (condition.busy)
    return report(Status::wrong_state, "the handle is in use: a callback called into it, or another thread");
  condition.busy = true;
  anb_status status;
  try {
    status = to_c(body());
  } catch (...) {
    status = report_exception();
  }
  condition.busy = false;
  if (status == ANB_INTERNAL) condition.poisoned = true;
  return status;
}

/// For calls without a handle.
template <class Body>
anb_status guard(Body&& body) noexcept {
  try {
    return to_c(body());
  } catch (...) {
    return report_exception();
  }
}

[[noreturn]] inline void fail_no_handle() {
  fail(Status::limit_reached, "all ", kMaxHandles, " handles of this process are in use");
}

[[noreturn]] inline void fail_null(const char* name) { fail(Status::bad_argument, name, " is NULL"); }

/// Throws bad_argument, naming it, for a null pointer.
template <class T>
T* need(T* pointer, const char* name) {
  if (pointer == nullptr) fail_null(name);
  return pointer;
}

/// Throws bad_argument for a negative count, or for a null array that should hold something.
template <class T>
void need_array(const T* array, std::int32_t n, const char* name) {
  if (n < 0) fail(Status::bad_argument, name, " has ", n, " elements");
  if (n > 0) need(array, name);
}

}  // namespace anabranch::capi
