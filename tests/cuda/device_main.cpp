// Runs the tests on a device. Without one nothing is run, and the exit code 77 says so.
#include <cstdio>

#include <anabranch/cuda/branch_attention.hpp>

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char* argv[]) {
  if (anabranch::cuda::device_count() == 0) {
    std::puts("not run: there is no CUDA device of compute capability 8.0 or later");
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
