#include <anabranch/mpi/mpi_ranks.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <mpi.h>
#include <unistd.h>

#include <anabranch/error.hpp>

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;

/// Tags hold the number of an exchange, modulo this, and its kind; MPI promises room for 32767.
constexpr std::uint64_t kNumbers = 4096;
constexpr std::uint64_t kKinds = 8;

std::string text_of(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return {text.data(), static_cast<std::size_t>(length)};
}

void check(int code, const char* call) {
  if (code != MPI_SUCCESS) fail(Status::wrong_state, call, " failed: ", text_of(code));
}

/// Where a rank runs.
struct Process {
  std::array<char, 64> host{};
  std::int64_t id = 0;
  bool is_here(const Process& other) const noexcept { return host == other.host; }
};

/// The state of a process of this machine, as the system tells it.
std::string state_of(std::int64_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  const std::string name = "its process " + std::to_string(process);
  std::string line;
  if (!std::getline(in, line)) return name + " is gone";
  const std::size_t behind = line.rfind(')');  // of the program's name
  const char state = behind != std::string::npos && behind + 2 < line.size() ? line[behind + 2] : '?';
  if (state == 'T' || state == 't') return name + " is stopped";
  if (state == 'Z' || state == 'X') return name + " has ended";
  return name + " is alive";
}

/// Waits a little, the longer the longer it has waited already: most answers come in microseconds, but a rank whose
/// neighbour samples or loads shall not hold a processor.
void pause(Clock::duration waited) {
  if (waited < std::chrono::milliseconds(2))
    std::this_thread::yield();
  else
    std::this_thread::sleep_for(std::chrono::microseconds(waited < std::chrono::seconds(1) ? 50 : 1000));
}

}  // namespace

struct MpiRanks::Impl {
  MPI_Comm ranks = MPI_COMM_NULL;  ///< of our own, so that no message of others gets between
  int rank = 0, size = 1;
  std::vector<Process> processes;  ///< [size]
  std::vector<MPI_Request> requests;
  std::vector<MPI_Status> statuses;
  std::string failure;  ///< why there are no more operations; empty: there are

  [[noreturn]] void lose(Status status, std::string why) {
    failure = why;
    throw Error(status, std::move(why));
  }
  std::string at(const Operation& operation) const {
    return std::string(collective_name(operation.kind)) + " number " + std::to_string(operation.number % kNumbers);
  }
  static int tag_of(const Operation& operation) noexcept {
    return static_cast<int>(operation.number % kNumbers * kKinds + static_cast<std::uint64_t>(operation.kind));
  }

  void start(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received);
  bool done(const Operation& operation, std::span<const Received> received);
  void check_others(const Operation& operation, std::span<const Received> received);
  [[noreturn]] void lose_all(const Operation& operation, std::span<const Sent> sent,
                             std::span<const Received> received);
};

/// Requests stand in the order: received, then sent.
void MpiRanks::Impl::start(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received) {
  requests.assign(received.size() + sent.size(), MPI_REQUEST_NULL);
  statuses.resize(requests.size());
  const auto count = [](std::size_t n) {
    if (n > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      fail(Status::bad_argument, "a message of ", n, " bytes; MPI takes ", std::numeric_limits<int>::max());
    return static_cast<int>(n);
  };
  MPI_Request* next = requests.data();
  for (const Received& r : received)
    check(MPI_Irecv(r.bytes.data(), count(r.bytes.size()), MPI_BYTE, r.from, tag_of(operation), ranks, next++),
          "MPI_Irecv");
  for (const Sent& s : sent)
    check(MPI_Isend(s.bytes.data(), count(s.bytes.size()), MPI_BYTE, s.to, tag_of(operation), ranks, next++),
          "MPI_Isend");
}

/// Whether all has been sent and received. Throws when a rank sent another number of bytes.
bool MpiRanks::Impl::done(const Operation& operation, std::span<const Received> received) {
  int all = 0;
  const int code = MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, statuses.data());
  if (code == MPI_SUCCESS && all == 0) return false;
  for (std::size_t i = 0; i < received.size(); ++i) {
    int n = 0;
    const bool too_long = code == MPI_ERR_IN_STATUS && statuses[i].MPI_ERROR == MPI_ERR_TRUNCATE;
    if (code == MPI_SUCCESS) MPI_Get_count(&statuses[i], MPI_BYTE, &n);
    if (too_long || (code == MPI_SUCCESS && n != static_cast<int>(received[i].bytes.size())))
      lose(Status::wrong_state, "rank " + std::to_string(received[i].from) + " does something else than rank " +
                                    std::to_string(rank) + ": in " + at(operation) + " it sent " +
                                    (too_long ? "more than " : std::to_string(n) + ", not ") +
                                    std::to_string(received[i].bytes.size()) + " bytes");
  }
  if (code != MPI_SUCCESS) lose(Status::wrong_state, "MPI_Testall failed in " + at(operation) + ": " + text_of(code));
  return true;
}

/// Throws when a rank that is waited for has sent the message of another operation. What one rank sends arrives in
/// order, so the one that is waited for cannot come behind it.
void MpiRanks::Impl::check_others(const Operation& operation, std::span<const Received> received) {
  for (std::size_t i = 0; i < received.size(); ++i) {
    int there = 0, complete = 0;
    MPI_Status status;
    check(MPI_Iprobe(received[i].from, MPI_ANY_TAG, ranks, &there, &status), "MPI_Iprobe");
    if (there == 0 || status.MPI_TAG == tag_of(operation)) continue;
    // Between the last look and this one the awaited message may have come, and the next one behind it.
    check(MPI_Request_get_status(requests[i], &complete, MPI_STATUS_IGNORE), "MPI_Request_get_status");
    if (complete != 0) continue;
    const auto tag = static_cast<std::uint64_t>(status.MPI_TAG);
    const Operation theirs{static_cast<CollectiveKind>(tag % kKinds), tag / kKinds, {}};
    lose(Status::wrong_state, "rank " + std::to_string(received[i].from) + " does something else than rank " +
                                  std::to_string(rank) + ": it is in " + at(theirs) + ", not in " + at(operation));
  }
}

void MpiRanks::Impl::lose_all(const Operation& operation, std::span<const Sent> sent,
                              std::span<const Received> received) {
  std::string lost;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    int complete = 0;
    if (MPI_Request_get_status(requests[i], &complete, MPI_STATUS_IGNORE) == MPI_SUCCESS && complete != 0) continue;
    const bool receives = i < received.size();
    const std::int32_t other = receives ? received[i].from : sent[i - received.size()].to;
    const std::string name = "rank " + std::to_string(other) + " ";
    if (lost.find(name) != std::string::npos) continue;
    const auto& process = processes[static_cast<std::size_t>(other)];
    const bool here = process.is_here(processes[static_cast<std::size_t>(rank)]);
    lost += (lost.empty() ? "" : "; ") + name + (receives ? "has sent nothing" : "has taken nothing") + " (" +
            (here ? state_of(process.id) : "process " + std::to_string(process.id) + " on " + process.host.data()) +
            ")";
  }
  for (std::size_t i = 0; i < received.size(); ++i)
    if (requests[i] != MPI_REQUEST_NULL) {  // else a late message would be written into memory that is somebody else's
      MPI_Cancel(&requests[i]);
      MPI_Wait(&requests[i], MPI_STATUS_IGNORE);
    }
  lose(Status::limit_reached, "rank " + std::to_string(rank) + " waited " + std::to_string(operation.limit.count()) +
                                  " ms in " + at(operation) + ": " + lost);
}

MpiRanks::MpiRanks(const MpiOptions& options) : impl_(std::make_unique<Impl>()) {
  if (options.limit.count() < 1)
    fail(Status::bad_argument, "the limit is ", options.limit.count(), " ms; it must be 1 or more");
  set_limit(options.limit);
  int started = 0, level = 0;
  MPI_Initialized(&started);
  if (started != 0) fail(Status::wrong_state, "MPI has been started already");
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
  if (level < MPI_THREAD_SERIALIZED) fail(Status::wrong_state, "this MPI lets one thread alone call it");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &impl_->ranks), "MPI_Comm_dup");
  MPI_Comm_set_errhandler(impl_->ranks, MPI_ERRORS_RETURN);
  MPI_Comm_rank(impl_->ranks, &impl_->rank);
  MPI_Comm_size(impl_->ranks, &impl_->size);
  Process mine;
  gethostname(mine.host.data(), mine.host.size() - 1);
  mine.id = getpid();
  impl_->processes.resize(static_cast<std::size_t>(impl_->size));
  const std::vector<std::size_t> counts(impl_->processes.size(), sizeof(Process));
  all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(impl_->processes)), counts);
}

MpiRanks::~MpiRanks() {
  try {
    barrier();
    MPI_Comm_free(&impl_->ranks);
    MPI_Finalize();
  } catch (const Error&) {
    // The ranks have lost each other; MPI_Finalize would wait for them.
  }
}

std::int32_t MpiRanks::rank() const noexcept { return impl_->rank; }
std::int32_t MpiRanks::size() const noexcept { return impl_->size; }

void MpiRanks::end_all(int exit_status) noexcept {
  MPI_Abort(MPI_COMM_WORLD, exit_status);
  std::_Exit(exit_status);
}

void MpiRanks::exchange(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received) {
  if (!impl_->failure.empty()) fail(Status::wrong_state, "the ranks have lost each other: ", impl_->failure);
  impl_->start(operation, sent, received);
  const Clock::time_point begin = Clock::now();
  constexpr auto kLook = std::chrono::milliseconds(20);
  for (Clock::time_point look = begin + kLook; !impl_->done(operation, received);) {
    const Clock::time_point now = Clock::now();
    if (now >= look) {
      impl_->check_others(operation, received);
      look = now + kLook;
    }
    if (now - begin >= operation.limit && !impl_->done(operation, received)) impl_->lose_all(operation, sent, received);
    pause(now - begin);
  }
}

}  // namespace anabranch
