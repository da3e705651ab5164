// Collective: the operations by which the processes of one computation, its ranks, pass bytes to each other.
//
// Whoever carries the bytes (MPI: mpi/mpi_ranks.hpp) gives one function, `exchange`; the operations are made of it,
// here, once. All ranks call the same operations in the same order. A sum adds the ranks' numbers in the order of
// ranks, whatever arrives first: all ranks get the same bits, in every run.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include <anabranch/error.hpp>

namespace anabranch {

/// An operation that all ranks do together.
enum class CollectiveKind : std::uint8_t { broadcast, all_reduce, gather, all_gather, barrier };

constexpr const char* collective_name(CollectiveKind kind) noexcept {
  switch (kind) {
    case CollectiveKind::broadcast: return "broadcast";
    case CollectiveKind::all_reduce: return "all_reduce";
    case CollectiveKind::gather: return "gather";
    case CollectiveKind::all_gather: return "all_gather";
    case CollectiveKind::barrier: return "barrier";
  }
  return "unknown";
}

/// Bytes and messages that this rank has sent so far.
struct Traffic {
  std::int64_t n_bytes = 0;     ///< to all other ranks together
  std::int64_t n_messages = 0;  ///< one to one rank counts once
};

/// For one thread at a time. Every operation ends within `limit`: it throws limit_reached naming a rank that has not
/// answered, and what is known of it, and wrong_state for a rank that does something else. Afterwards ranks have no
/// common state any more: every further operation throws.
class Collective {
 public:
  using Limit = std::chrono::milliseconds;

  Collective() = default;
  Collective(const Collective&) = delete;
  Collective& operator=(const Collective&) = delete;
  virtual ~Collective() = default;

  virtual std::int32_t rank() const noexcept = 0;  ///< of this process, from 0
  virtual std::int32_t size() const noexcept = 0;  ///< number of ranks
  /// How long one operation may take.
  Limit limit() const noexcept { return limit_; }
  const Traffic& traffic() const noexcept { return traffic_; }

  /// Everybody gets rank 0's bytes, of a size that only rank 0 knows. Rank 0 sends (size - 1) (bytes + 8).
  void broadcast(std::vector<std::byte>& bytes) {
    std::uint64_t n = bytes.size();
    from_root(CollectiveKind::broadcast, std::as_writable_bytes(std::span(&n, 1)));
    bytes.resize(static_cast<std::size_t>(n));
    from_root(CollectiveKind::broadcast, bytes);
  }

  /// values[i] becomes the sum of all ranks' values[i]; they have equally many. A rank sends about
  /// 2 (size - 1) / size of the values' bytes: each adds up one part of them, then all hand out their sums.
  void all_reduce(std::span<float> values) {
    const auto n = static_cast<std::size_t>(size()), me = static_cast<std::size_t>(rank());
    if (n == 1) return;
    const auto part = [&](std::size_t r) {
      const std::size_t begin = values.size() * r / n, end = values.size() * (r + 1) / n;
      return values.subspan(begin, end - begin);
    };
    const std::span<float> mine = part(me);
    parts_.resize(n * mine.size());
    const auto theirs = [&](std::size_t r) { return std::span(parts_).subspan(r * mine.size(), mine.size()); };
    begin(CollectiveKind::all_reduce);
    for_others([&](std::size_t r) {
      send(r, std::as_bytes(part(r)));
      receive(r, std::as_writable_bytes(theirs(r)));
    });
    finish(limit_);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      float sum = me == 0 ? mine[i] : theirs(0)[i];
      for (std::size_t r = 1; r < n; ++r) sum += r == me ? mine[i] : theirs(r)[i];
      mine[i] = sum;
    }
    begin(CollectiveKind::all_reduce);
    for_others([&](std::size_t r) {
      send(r, std::as_bytes(mine));
      receive(r, std::as_writable_bytes(part(r)));
    });
    finish(limit_);
  }

  /// Everybody gets all ranks' bytes one behind the other, in the order of ranks. counts: [size], bytes of each rank,
  /// known to all; all: their sum; mine: as many as this rank's count.
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, std::span<const std::size_t> counts) {
    gather_parts(CollectiveKind::all_gather, mine, all, counts, limit_);
  }
  /// The same for rank 0 alone; the `all` of others may be empty.
  void gather(std::span<const std::byte> mine, std::span<std::byte> all, std::span<const std::size_t> counts) {
    gather_parts(CollectiveKind::gather, mine, all, counts, limit_);
  }

  /// Returns when all ranks have called it. `limit`: of this operation, where others may come late.
  void barrier(std::optional<Limit> limit = {}) {
    const std::vector<std::size_t> one(static_cast<std::size_t>(size()), 1);
    std::vector<std::byte> all(one.size());
    gather_parts(CollectiveKind::barrier, std::span(all).first(1), all, one, limit.value_or(limit_));
  }

 protected:
  /// Bytes to or from another rank.
  struct Sent {
    std::int32_t to = 0;
    std::span<const std::byte> bytes;
  };
  struct Received {
    std::int32_t from = 0;
    std::span<std::byte> bytes;
  };
  struct Operation {
    CollectiveKind kind = CollectiveKind::barrier;
    std::uint64_t number = 0;  ///< grows by 1 with each exchange; the same on all ranks
    Limit limit{};
  };
  /// Sends and receives all of them at the same time; returns when they are done. Throws as is said above.
  virtual void exchange(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received) = 0;

  void set_limit(Limit limit) noexcept { limit_ = limit; }

 private:
  template <class Visit>
  void for_others(Visit&& visit) const {
    for (std::int32_t r = 0; r < size(); ++r)
      if (r != rank()) visit(static_cast<std::size_t>(r));
  }
  void begin(CollectiveKind kind) {
    operation_.kind = kind;
    ++operation_.number;
    sent_.clear();
    received_.clear();
  }
  void send(std::size_t rank, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    sent_.push_back({static_cast<std::int32_t>(rank), bytes});
    traffic_.n_bytes += static_cast<std::int64_t>(bytes.size());
    ++traffic_.n_messages;
  }
  void receive(std::size_t rank, std::span<std::byte> bytes) {
    if (!bytes.empty()) received_.push_back({static_cast<std::int32_t>(rank), bytes});
  }
  void finish(Limit limit) {
    operation_.limit = limit;
    if (!sent_.empty() || !received_.empty()) exchange(operation_, sent_, received_);
  }

  void from_root(CollectiveKind kind, std::span<std::byte> bytes) {
    begin(kind);
    if (rank() != 0) receive(0, bytes);
    if (rank() == 0) for_others([&](std::size_t r) { send(r, bytes); });
    finish(limit_);
  }

  void gather_parts(CollectiveKind kind, std::span<const std::byte> mine, std::span<std::byte> all,
                    std::span<const std::size_t> counts, Limit limit) {
    const auto me = static_cast<std::size_t>(rank());
    const bool gets = kind != CollectiveKind::gather || me == 0;
    const std::size_t total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
    if (counts.size() != static_cast<std::size_t>(size()) || mine.size() != counts[me] || (gets && all.size() != total))
      fail(Status::bad_argument, collective_name(kind), " of ", mine.size(), " bytes into ", all.size(), " by ",
           counts.size(), " counts of ", total, " bytes together; there are ", size(), " ranks");
    begin(kind);
    std::size_t place = 0;
    for (std::size_t r = 0; r < counts.size(); place += counts[r], ++r) {
      if (r == me) {
        if (gets) std::copy(mine.begin(), mine.end(), all.begin() + static_cast<std::ptrdiff_t>(place));
        continue;
      }
      if (gets) receive(r, all.subspan(place, counts[r]));
      if (kind != CollectiveKind::gather || r == 0) send(r, mine);
    }
    finish(limit);
  }

  Limit limit_{30000};
  Traffic traffic_;
  Operation operation_;
  std::vector<Sent> sent_;
  std::vector<Received> received_;
  std::vector<float> parts_;  ///< all ranks' numbers of the part that this one adds up
};

}  // namespace anabranch
