// How many processors a process may use: files of control groups as both versions write them.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include <unistd.h>

#include "catch.hpp"
#include "processors.hpp"

namespace fs = std::filesystem;
using anabranch::torch::GroupFiles;
using anabranch::torch::processor_quota;
using anabranch::torch::usable_processors;

namespace {

/// A folder with files as the system has them, which goes with the object.
class System {
 public:
  System() : folder_(fs::temp_directory_path() / ("anabranch_groups_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
  }
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  ~System() { fs::remove_all(folder_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text << '\n';
  }
  GroupFiles files() const { return {folder_ / "self", folder_ / "root"}; }

 private:
  fs::path folder_;
};

}  // namespace

TEST_CASE("without control groups there is no quota, and the processors of the process count") {
  const System system;
  CHECK(std::isinf(processor_quota(system.files())));
  CHECK(usable_processors(system.files()) >= 1);
  CHECK(usable_processors() <= usable_processors(system.files()));
}

TEST_CASE("the smallest quota of a group and those above it counts, in both versions") {
  const System system;
  system.write("self", "4:memory:/other\n3:cpu,cpuacct:/a/b\n0::/x/y");
  system.write("root/x/y/cpu.max", "max 100000");
  CHECK(std::isinf(processor_quota(system.files())));
  system.write("root/x/cpu.max", "250000 100000");
  CHECK(processor_quota(system.files()) == 2.5);
  system.write("root/cpu/a/b/cpu.cfs_quota_us", "-1");
  system.write("root/cpu/a/b/cpu.cfs_period_us", "100000");
  CHECK(processor_quota(system.files()) == 2.5);
  system.write("root/cpu/cpu.cfs_quota_us", "50000");
  system.write("root/cpu/cpu.cfs_period_us", "40000");
  CHECK(processor_quota(system.files()) == 1.25);
  system.write("root/x/y/cpu.max", "20000 100000");
  CHECK(processor_quota(system.files()) == 0.2);
}

TEST_CASE("a quota counts to the nearest whole number, at least one") {
  const System system;
  system.write("self", "0::/");
  for (const auto& [quota, expected] : {std::pair{"1000 100000", 1}, {"140000 100000", 1}, {"100000 100000", 1}}) {
    system.write("root/cpu.max", quota);
    CHECK(usable_processors(system.files()) == expected);
  }
  const int bound = usable_processors({"/nonexistent", "/nonexistent"});
  system.write("root/cpu.max", "160000 100000");
  CHECK(usable_processors(system.files()) == std::min(2, bound));
  system.write("root/cpu.max", "100000000 100000");
  CHECK(usable_processors(system.files()) == bound);
}

TEST_CASE("a thread that keeps off a processor runs on others, and may return when it keeps off another one") {
  const anabranch::ProcessorCalls calls = anabranch::torch::processor_calls();
  if (calls.keep_off == nullptr) return;
  std::thread([&] {
    const std::int32_t first = calls.current();
    const bool only_one = usable_processors({"/nonexistent", "/nonexistent"}) == 1;
    calls.keep_off(first);
    const std::int32_t second = calls.current();
    CHECK((second == first) == only_one);
    calls.keep_off(second);
    CHECK((calls.current() == second) == only_one);
    calls.keep_off(-1);
    CHECK((usable_processors({"/nonexistent", "/nonexistent"}) == 1) == only_one);
  }).join();
}

TEST_CASE("files that are damaged limit nothing") {
  const System system;
  system.write("self", "0::/\nnonsense\n:");
  for (const char* text : {"", "max", "-5 100000", "100000", "5 0", "x y"}) {
    CAPTURE(text);
    system.write("root/cpu.max", text);
    CHECK(std::isinf(processor_quota(system.files())));
  }
}
