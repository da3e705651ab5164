// A program for mpirun: every operation over MPI, or one rank that does what it should not.
//
//   mpi_program LIMIT WAY [TAG]     WAY: right, stops, dies, other-operation, other-size, is-late; TAG is not read
#include <anabranch/mpi/mpi_ranks.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <anabranch/error.hpp>

namespace ab = anabranch;

namespace {

void require(bool holds, const char* what) {
  if (!holds) ab::fail(ab::Status::internal, what);
}

/// All operations with n numbers, small ones and such as MPI passes in another way.
void run_all(ab::Collective& ranks, std::size_t n) {
  const auto me = static_cast<std::size_t>(ranks.rank()), size = static_cast<std::size_t>(ranks.size());
  std::vector<float> values(n), sums(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t r = 0; r < size; ++r) {
      const float value = static_cast<float>(r + 1) / static_cast<float>(i % 13 + 3);
      if (r == me) values[i] = value;
      sums[i] = r == 0 ? value : sums[i] + value;
    }
  ranks.all_reduce(values);
  require(values == sums, "another sum");

  std::vector<std::size_t> counts;
  std::vector<std::byte> expected;
  for (std::size_t r = 0; r < size; ++r) {
    counts.push_back(n / (r + 1));
    expected.insert(expected.end(), counts.back(), static_cast<std::byte>(r + 1));
  }
  const std::vector<std::byte> mine(counts[me], static_cast<std::byte>(me + 1));
  std::vector<std::byte> all(expected.size()), first(me == 0 ? expected.size() : 0);
  ranks.all_gather(mine, all, counts);
  ranks.gather(mine, first, counts);
  require(all == expected && (me != 0 || first == expected), "other bytes of a gather");

  std::vector<std::byte> bytes(me == 0 ? n : 1, static_cast<std::byte>(me));
  ranks.broadcast(bytes);
  require(bytes == std::vector<std::byte>(n), "other bytes of a broadcast");
  ranks.barrier();
}

void misbehave(ab::Collective& ranks, const std::string& way) {
  std::vector<float> values(way == "other-size" ? 101 : 100);
  if (way == "stops") std::raise(SIGSTOP);
  if (way == "dies") std::raise(SIGKILL);
  if (way == "is-late") std::this_thread::sleep_for(3 * ranks.limit());
  if (way == "other-operation")
    ranks.barrier();
  else
    ranks.all_reduce(values);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string way = argv[2];
  ab::MpiRanks ranks({std::chrono::milliseconds(std::atoi(argv[1]))});
  try {
    for (const std::size_t n : {0u, 1u, 5u, 1000u, 300000u}) run_all(ranks, n);
    if (way == "right") {
      std::printf("rank %d of %d is right, and has sent %lld bytes\n", ranks.rank(), ranks.size(),
                  static_cast<long long>(ranks.traffic().n_bytes));
      return 0;
    }
    std::vector<float> values(100);
    if (ranks.rank() == 1)
      misbehave(ranks, way);
    else
      ranks.all_reduce(values);
    ranks.barrier();
    return 0;
  } catch (const ab::Error& error) {
    std::fprintf(stderr, "rank %d: %s: %s\n", ranks.rank(), ab::status_name(error.status()), error.what());
    ranks.end_all(7);
  }
}
