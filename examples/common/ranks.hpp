// A program that runs as several processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <anabranch/collective.hpp>

#include "guarded.hpp"

namespace example {

struct RanksOptions {
  const char* program = "";  ///< for messages
  std::int32_t n = 1;        ///< processes that mpirun was told to start
  double seconds = 30;       ///< Collective::limit, and what starting and ending may take
};

/// The ranks of the run; with one rank nothing is started.
class Ranks {
 public:
  /// Throws bad_argument where mpirun has started another number of processes, or the program was built without MPI,
  /// and what MpiRanks throws. A start that takes too long ends the process with a message.
  explicit Ranks(const RanksOptions& options);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();

  anabranch::Collective* collective() noexcept;  ///< null: one rank
  bool leads() noexcept { return collective() == nullptr || collective()->rank() == 0; }
  /// The program's name for messages, with the rank where there are several.
  const std::string& name() const noexcept { return name_; }
  /// Ends the processes of all ranks; returns where there is one rank only.
  void end_all(int exit_status) noexcept;

 private:
  struct Impl;
  std::string name_;
  double seconds_;
  std::unique_ptr<Impl> impl_;
};

/// Calls body(ranks) and returns the exit status, as `guarded` does; a rank that fails ends all.
template <class Body>
int with_ranks(const RanksOptions& options, Body&& body) {
  return guarded(options.program, [&] {
    Ranks ranks(options);
    const int status = guarded(ranks.name().c_str(), [&] { return body(ranks); });
    if (status != 0) ranks.end_all(status);
    return status;
  });
}

}  // namespace example
