#include "ranks.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include <anabranch/error.hpp>

#ifdef EXAMPLE_HAS_MPI
#include <anabranch/mpi/mpi_ranks.hpp>
#endif

namespace example {

#ifdef EXAMPLE_HAS_MPI
namespace {

constexpr double kStart = 30;  ///< seconds that MPI has for its start, and for its end, at least

/// Ends the process when what MPI itself waits for does not come: its start and its end cannot be given up otherwise.
class Alarm {
 public:
  explicit Alarm(double seconds) {
    std::signal(SIGALRM, [](int) {
      constexpr std::string_view kText =
          "error: MPI has not started, or ended, in time: a rank is missing or stopped\n";
      const auto ignored = ::write(STDERR_FILENO, kText.data(), kText.size());
      std::_Exit(ignored < 0 ? 2 : 1);
    });
    ::alarm(static_cast<unsigned>(std::clamp(std::ceil(seconds), 1.0, 86400.0)));
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() { ::alarm(0); }
};

}  // namespace

struct Ranks::Impl {
  std::unique_ptr<anabranch::MpiRanks> mpi;
};

Ranks::Ranks(const RanksOptions& options)
    : name_(options.program), seconds_(options.seconds), impl_(std::make_unique<Impl>()) {
  if (options.n == 1) return;
  const Alarm alarm(std::max(kStart, seconds_));
  const std::chrono::duration<double> limit(std::max(seconds_, 0.001));
  impl_->mpi = std::make_unique<anabranch::MpiRanks>(
      anabranch::MpiOptions{std::chrono::duration_cast<std::chrono::milliseconds>(limit)});
  const std::int32_t started = impl_->mpi->size();
  if (started != options.n)
    anabranch::fail(anabranch::Status::bad_argument, "--ranks ", options.n, ", but mpirun has started ", started,
                    started == 1 ? " process" : " processes", ": mpirun -np ", options.n, " ...");
  name_ += ", rank " + std::to_string(impl_->mpi->rank());
}

Ranks::~Ranks() {
  if (impl_->mpi == nullptr) return;
  const Alarm alarm(std::max(kStart, 2 * seconds_));
  impl_->mpi.reset();
}

anabranch::Collective* Ranks::collective() noexcept { return impl_->mpi.get(); }

void Ranks::end_all(int exit_status) noexcept {
  if (impl_->mpi != nullptr) impl_->mpi->end_all(exit_status);
}
#else
struct Ranks::Impl {};

Ranks::Ranks(const RanksOptions& options) : name_(options.program), seconds_(options.seconds) {
  if (options.n > 1)
    anabranch::fail(anabranch::Status::bad_argument, "--ranks ", options.n,
                    ": this program was built without MPI (Debian packages: openmpi-bin libopenmpi-dev)");
}
Ranks::~Ranks() = default;
anabranch::Collective* Ranks::collective() noexcept { return nullptr; }
void Ranks::end_all(int) noexcept {}
#endif

}  // namespace example
