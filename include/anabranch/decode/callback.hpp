// Callback: a function of the caller that may say whether to go on.
//
// It takes what can be called with `Args` and returns nothing, a Proceed, or a bool (false: stop). So that a lambda
// that only looks on needs no return, and one that decides needs no second option.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include <anabranch/version.hpp>

namespace anabranch {

enum class Proceed : std::uint8_t { go_on, stop };

namespace impl {
template <class T>
concept ProceedLike = std::is_void_v<T> || std::same_as<T, bool> || std::same_as<T, Proceed>;
}

template <class... Args>
class Callback {
 public:
  Callback() = default;
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Callback> && std::invocable<F&, Args...> &&
           impl::ProceedLike<std::invoke_result_t<F&, Args...>>) Callback(F&& function)
      : function_(wrapped(std::forward<F>(function))) {}

  explicit operator bool() const noexcept { return static_cast<bool>(function_); }
  /// Without a function: go_on.
  Proceed operator()(Args... args) const { return function_ ? function_(std::forward<Args>(args)...) : Proceed::go_on; }

 private:
  using Function = std::function<Proceed(Args...)>;

  template <class F>
  static Function wrapped(F&& function) {
    using Result = std::invoke_result_t<F&, Args...>;
    if constexpr (std::constructible_from<bool, F&>)  // a pointer or a std::function, which may be empty
      if (!static_cast<bool>(function)) return {};
    return [function = std::forward<F>(function)](Args... args) mutable {
      if constexpr (std::is_void_v<Result>) {
        function(std::forward<Args>(args)...);
        return Proceed::go_on;
      } else if constexpr (std::same_as<Result, bool>) {
        return function(std::forward<Args>(args)...) ? Proceed::go_on : Proceed::stop;
      } else {
        return function(std::forward<Args>(args)...);
      }
    };
  }

  Function function_;
};

}  // namespace anabranch
