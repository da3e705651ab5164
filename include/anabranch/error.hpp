// Everything that can go wrong, in one list.
//
// Expected outcomes (no free page) are values, not errors. Misuse and bad input throw `Error`; its text gives the bad
// value and the limit, and the object stays as it was. A bug of ours is an ANABRANCH_ASSERT, which throws
// `Status::internal`. Nothing here prints or aborts.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <anabranch/version.hpp>

namespace anabranch {

/// The numbers never change; new ones are added at the end.
enum class Status : std::int32_t {
  ok = 0,
  bad_argument = 1,    ///< a value outside what the call accepts
  stale_sequence = 2,  ///< the id names no sequence that is alive
  not_a_child = 3,     ///< join or adopt of a sequence that is not an open child of the given parent
  open_children = 4,   ///< the sequence must have no open children for this call
  out_of_range = 5,    ///< a position beyond a reserved range or the model's maximum
  limit_reached = 6,   ///< a caller-set limit (sequences, depth) is used up
  wrong_state = 7,     ///< the call does not fit the state of the step (second step, append after plan, ...)
  no_room = 8,         ///< too few free pages; an outcome in C++ (PlanResult), a status across the C border
  bad_snapshot = 9,    ///< a saved snapshot is damaged or of another version
  not_exact = 10,      ///< an export cannot express this plan exactly
  bad_markup = 11,     ///< a markup was given ids or text that it cannot work with
  bad_request = 12,    ///< a request that the decoder cannot take
  stale_request = 13,  ///< the id names no request that is known
  bad_logits = 14,     ///< logits of the wrong shape, or without one finite, allowed entry
  bad_file = 15,       ///< a model or tokenizer file is missing, damaged or not as expected
  unsupported = 16,    ///< a model or file kind that this library does not run
  internal = 17,       ///< a broken invariant: a bug of ours
  // Given across the C border only, where there are no exceptions and no types; the first also by a load in C++:
  out_of_memory = 18,    ///< an allocation was refused, or a model needs more memory than there is
  bad_handle = 19,       ///< a handle that is null, destroyed, or of another kind
  callback_failed = 20,  ///< a callback reported failure, or gave what cannot be
  poisoned = 21,         ///< an earlier call on this handle gave `internal`
  nothing_to_do = 22,    ///< an outcome: no request runs, or the list is at its end
};

/// Name of a status as written above, for messages.
constexpr const char* status_name(Status status) noexcept {
  switch (status) {
    case Status::ok: return "ok";
    case Status::bad_argument: return "bad_argument";
    case Status::stale_sequence: return "stale_sequence";
    case Status::not_a_child: return "not_a_child";
    case Status::open_children: return "open_children";
    case Status::out_of_range: return "out_of_range";
    case Status::limit_reached: return "limit_reached";
    case Status::wrong_state: return "wrong_state";
    case Status::no_room: return "no_room";
    case Status::bad_snapshot: return "bad_snapshot";
    case Status::not_exact: return "not_exact";
    case Status::bad_markup: return "bad_markup";
    case Status::bad_request: return "bad_request";
    case Status::stale_request: return "stale_request";
    case Status::bad_logits: return "bad_logits";
    case Status::bad_file: return "bad_file";
    case Status::unsupported: return "unsupported";
    case Status::internal: return "internal";
    case Status::out_of_memory: return "out_of_memory";
    case Status::bad_handle: return "bad_handle";
    case Status::callback_failed: return "callback_failed";
    case Status::poisoned: return "poisoned";
    case Status::nothing_to_do: return "nothing_to_do";
  }
  return "unknown";
}

/// The exception for misuse and bad input.
class Error : public std::exception {
 public:
  Error(Status status, std::string text) : status_(status), text_(std::move(text)) {}
  Status status() const noexcept { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Status status_;
  std::string text_;
};

namespace impl {

/// A piece of an error's text: a string or a number, which is written as std::to_string writes it.
class ErrorPart {
 public:
  ErrorPart(std::string_view text) noexcept : text_(text) {}
  ErrorPart(const std::string& text) noexcept : text_(text) {}
  ErrorPart(const char* text) noexcept : text_(text) {}
  template <std::integral Number>
  ErrorPart(Number value) noexcept
      : kind_(std::is_signed_v<Number> ? Kind::signed_number : Kind::unsigned_number),
        integer_(static_cast<std::uint64_t>(value)) {}
  ErrorPart(char character) noexcept : kind_(Kind::character), integer_(static_cast<unsigned char>(character)) {}
  ErrorPart(double value) noexcept : kind_(Kind::real_number), real_(value) {}

  void append_to(std::string& text) const {
    switch (kind_) {
      case Kind::text: text += text_; return;
      case Kind::character: text += static_cast<char>(integer_); return;
      case Kind::signed_number: text += std::to_string(static_cast<std::int64_t>(integer_)); return;
      case Kind::unsigned_number: text += std::to_string(integer_); return;
      case Kind::real_number: text += std::to_string(real_); return;
    }
  }

 private:
  enum class Kind : std::uint8_t { text, character, signed_number, unsigned_number, real_number };
  Kind kind_ = Kind::text;
  std::string_view text_;
  std::uint64_t integer_ = 0;
  double real_ = 0;
};

[[noreturn, gnu::cold, gnu::noinline]] inline void fail(Status status, std::initializer_list<ErrorPart> parts) {
  std::string text;
  for (const ErrorPart& part : parts) part.append_to(text);
  throw Error(status, std::move(text));
}

}  // namespace impl

/// Throws `Error`. `parts` are the pieces of its text, strings and numbers, in order:
///
///     fail(Status::bad_argument, "fork into ", n, " children; at least 1 is needed");
///
/// By value, literals of all lengths are one type: that many fewer instantiations in every file.
template <class... Parts>
[[noreturn]] void fail(Status status, Parts... parts) {
  impl::fail(status, {impl::ErrorPart(parts)...});
}

namespace impl {
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  fail(Status::internal, "broken invariant: ", condition, " at ", file, ":", line);
}
}  // namespace impl

}  // namespace anabranch

/// A condition that only a bug of this library can break.
#define ANABRANCH_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::anabranch::impl::assertion_failed(#condition, __FILE__, __LINE__))
