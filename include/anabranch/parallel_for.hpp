// A reference to the caller's own parallel loop, through which the caller lends its threads to a kernel.
//
// Kernels of this library start no threads. They hand a loop body to the caller's pool and get control back when every
// index has run. A reference is two pointers and two numbers; it allocates nothing. A caller without a pool may use
// ThreadTeam (thread_team.hpp).
#pragma once

#include <algorithm>
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
  /// `parts_per_worker`, at least 1, is how many indices a worker may be given by `in_parts`. More than one is for a
  /// pool whose threads take the next index when they have done one: a thread that the system has put aside then holds
  /// up no more than its last index.
  ParallelFor(Run run, void* user, std::int32_t n_workers, std::int32_t parts_per_worker = 1) noexcept
      : run_(run), user_(user), n_workers_(n_workers), parts_per_worker_(parts_per_worker) {}

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

  /// The number of parts that a loop over [0, n) is cut into: as many as there are workers, or a multiple of that while
  /// each still takes kPart or longer. `nanoseconds` is about what the loop takes on one thread; 0: not known.
  std::int32_t n_parts(std::int32_t n, double nanoseconds) const noexcept {
    const double each = nanoseconds / (kPart * n_workers_);
    const std::int32_t per_worker = each < 2                   ? 1
                                    : each < parts_per_worker_ ? static_cast<std::int32_t>(each)
                                                               : parts_per_worker_;
    return static_cast<std::int32_t>(std::min(std::int64_t{n_workers_} * per_worker, std::int64_t{n}));
  }

  /// Calls visit(begin, end) for n_parts equal parts of [0, n), never for an empty one. Loops of the same size are cut
  /// at the same places.
  template <class Visit>
  void in_parts(std::int32_t n, double nanoseconds, Visit&& visit) const {
    const std::int32_t parts = n_parts(n, nanoseconds);
    const auto border = [parts, n](std::int32_t i) { return static_cast<std::int32_t>(std::int64_t{n} * i / parts); };
    (*this)(parts, [&](std::int32_t i) { visit(border(i), border(i + 1)); });
  }
  template <class Visit>
  void in_parts(std::int32_t n, Visit&& visit) const {
    in_parts(n, 0.0, visit);
  }

  /// Nanoseconds that a part takes at least, by estimate, when a loop is cut into more parts than there are workers:
  /// claiming a part costs a tenth of a microsecond.
  static constexpr double kPart = 8000;

 private:
  Run run_ = nullptr;
  void* user_ = nullptr;
  std::int32_t n_workers_ = 1, parts_per_worker_ = 1;
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
