#include <anabranch/error.hpp>
#include <anabranch/mpi/mpi_ranks.hpp>

bool use_mpi();
bool use_mpi() {  // MPI itself would need mpirun
  try {
    const anabranch::MpiRanks ranks({std::chrono::milliseconds(0)});
  } catch (const anabranch::Error& error) {
    return error.status() == anabranch::Status::bad_argument;
  }
  return false;
}
