// A reference to the caller's own parallel loop, through which the caller lends its threads to a kernel.
//
// Kernels of this library start no threads. They hand a loop body to the caller's pool and get control back when every
// index has run. A reference is two pointers and a number; it allocates nothing. A caller without a pool may use
// ThreadTeam (thread_team.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include <anabranch/version.hpp>

namespace anabranch {

class ParallelFor {
 public:
  /// Loop body; `body` is the pointer that the kernel passed along with it.
  using Task = void (*)(void* body, std::int32_t index);
  /// Calls task(body, i) once for each i in [0, n), in any order, on any threads, and returns when all calls have
  /// returned. Must not throw.
  using Run = void (*)(void* user, std::int32_t n, Task task, void* body);

  /// One thread: a plain loop.
  ParallelFor() noexcept = default;
  /// `n_workers`, at least 1, is how many bodies can run at the same time; kernels size their scratch memory by it.
  ParallelFor(Run run, void* user, std::int32_t n_workers) noexcept : run_(run), user_(user), n_workers_(n_workers) {}

  std::int32_t n_workers() const noexcept { return n_workers_; }

  /// Calls body(i) for i in [0, n). The body must not throw.
  template <class Body>
  void operator()(std::int32_t n, Body&& body) const {
    if (n <= 1 || run_ == nullptr) {
      for (std::int32_t i = 0; i < n; ++i) body(i);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    run_(
        user_, n, [](void* b, std::int32_t i) { (*static_cast<Plain*>(b))(i); },
        const_cast<std::remove_const_t<Plain>*>(std::addressof(body)));
  }

  /// Calls visit(begin, end) for as many equal parts of [0, n) as there are workers, never for an empty one. Loops over
  /// the same n are cut at the same places, so a pool that runs equal indices on equal threads finds its caches warm.
  template <class Visit>
  void in_parts(std::int32_t n, Visit&& visit) const {
    const auto border = [this, n](std::int32_t i) {
      return static_cast<std::int32_t>(std::int64_t{n} * i / n_workers_);
    };
    (*this)(n_workers_, [&](std::int32_t i) {
      if (border(i) < border(i + 1)) visit(border(i), border(i + 1));
    });
  }

 private:
  Run run_ = nullptr;
  void* user_ = nullptr;
  std::int32_t n_workers_ = 1;
};

/// Work that a thread runs on a part [begin, end) which it has just finished and still has in its cache. It is a
/// reference to `body`, which must outlive it and must not throw. Parts begin and end at multiples of `unit`, or at the
/// last end.
class Epilogue {
 public:
  Epilogue() noexcept = default;  ///< nothing
  template <class Body>
  explicit Epilogue(Body& body, std::int32_t unit = 1) noexcept
      : run_([](void* b, std::int32_t begin, std::int32_t end) { (*static_cast<Body*>(b))(begin, end); }),
        body_(const_cast<std::remove_const_t<Body>*>(std::addressof(body))),
        unit_(unit) {}

  std::int32_t unit() const noexcept { return unit_; }
  void operator()(std::int32_t begin, std::int32_t end) const {
    if (run_ != nullptr) run_(body_, begin, end);
  }

 private:
  void (*run_)(void* body, std::int32_t begin, std::int32_t end) = nullptr;
  void* body_ = nullptr;
  std::int32_t unit_ = 1;
};

}  // namespace anabranch
