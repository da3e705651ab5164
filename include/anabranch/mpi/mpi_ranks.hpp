// The ranks that `mpirun` has started, as a Collective. No MPI header is needed to use it.
//
//   MpiRanks ranks({.limit = std::chrono::seconds(30)});
//   auto model = torch::CausalLm::load(folder, {.ranks = &ranks});   // this rank's part of the model
//
// mpirun ends all processes when one of them dies. What it does not see, a process that is stopped, that waits for
// something else or that was started with other arguments, ends an operation with an error, and `end_all` ends the
// rest.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>

#include <anabranch/collective.hpp>

namespace anabranch {

struct MpiOptions {
  std::chrono::milliseconds limit = std::chrono::seconds(30);  ///< Collective::limit
};

class MpiRanks final : public Collective {
 public:
  /// Starts MPI for this process, which has not been started yet; MPI itself waits in here until all ranks have come.
  /// Throws bad_argument (limit) or wrong_state.
  explicit MpiRanks(const MpiOptions& options = {});
  /// Ends MPI when all ranks have come here, within the limit. After an error MPI is left as it is: mpirun ends all
  /// processes when this one is over.
  ~MpiRanks() override;

  std::int32_t rank() const noexcept override;
  std::int32_t size() const noexcept override;

  /// Ends the processes of all ranks, this one too, with this exit status. From any state.
  [[noreturn]] void end_all(int exit_status) noexcept;

 private:
  void exchange(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received) override;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
