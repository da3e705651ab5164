// Which type of weights a measurement finds to be the fastest, when it is believed, and what is kept of it.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#include "catch.hpp"
#include "fastest_type.hpp"
#include "weight_cache.hpp"

namespace fs = std::filesystem;
using anabranch::torch::fastest_of;
using anabranch::torch::FastestType;
using anabranch::torch::Weights;

namespace {

using Times = std::vector<double>;

FastestType of_two(const Times& int8_wall, const Times& int8_cpu, const Times& float32_wall, const Times& float32_cpu) {
  const std::vector<anabranch::torch::TypeTimes> types{{Weights::int8, int8_wall, int8_cpu},
                                                       {Weights::float32, float32_wall, float32_cpu}};
  return fastest_of(types, Weights::bfloat16);
}

/// A folder for kept results, which goes with the object.
class Keeper {
 public:
  Keeper() : folder_(fs::temp_directory_path() / ("anabranch_fastest_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    options_.log = [this](std::string_view line) { log += std::string(line) + "\n"; };
    config.hidden = 64;
    config.n_heads = config.n_kv_heads = 2;
    config.head_dim = 32;
    config.ffn = 128;
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() { fs::remove_all(folder_); }

  std::vector<fs::path> files() const {
    std::error_code none;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_, none)) found.push_back(entry.path());
    return found;
  }

  anabranch::hf::ModelConfig config;
  std::string log;

 private:
  fs::path folder_;
  anabranch::torch::LoadOptions options_;
  anabranch::torch::LoadReport report_{options_};

 public:
  anabranch::torch::WeightCache cache{{.folder = folder_}, report_};
};

}  // namespace

TEST_CASE("a type that is faster by every figure is clearly the fastest") {
  const FastestType type = of_two({1.0, 1.1, 1.2}, {0.9, 0.9, 0.9}, {2.0, 2.1, 9.0}, {1.8, 1.9, 2.0});
  CHECK(type.weights == Weights::int8);
  CHECK(type.clear);
  CHECK(of_two({2.0}, {2.0}, {1.0}, {1.0}).weights == Weights::float32);
}

TEST_CASE("what one figure alone says is not believed") {
  const Times fast{1.0, 1.0, 1.0}, slow{2.0, 2.0, 2.0};
  const Times lucky{0.5, 3.0, 3.0};  // one good round of a type that others kept off the processors
  for (const FastestType& type : {of_two(slow, slow, lucky, fast),               // the medians name int8
                                  of_two(slow, fast, fast, fast),                // the CPU times are the same
                                  of_two({1.1, 1.1, 1.1}, slow, fast, fast),     // less than 15 %
                                  of_two({4.0, 4.0, 4.0}, slow, fast, fast)}) {  // the machine had others to run
    CHECK(type.weights == Weights::bfloat16);
    CHECK_FALSE(type.clear);
  }
  CHECK(of_two(slow, slow, fast, fast).clear);
}

TEST_CASE("a clear result is kept with the way to measure again, another one is not") {
  Keeper keeper;
  keeper.cache.keep_fastest(keeper.config, {Weights::float32, false});
  CHECK(keeper.files().empty());
  CHECK(keeper.log.find("weights: float32 is taken") == 0);
  CHECK(keeper.log.find("the next load measures again") != std::string::npos);
  CHECK_FALSE(keeper.cache.fastest(keeper.config));
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32}) {
    keeper.log.clear();
    keeper.cache.keep_fastest(keeper.config, {weights, true});
    REQUIRE(keeper.files().size() == 1);
    const std::string remove = "to measure again, remove " + keeper.files()[0].string();
    CHECK(keeper.log.find("is the fastest here, measured; " + remove) != std::string::npos);
    keeper.log.clear();
    CHECK(keeper.cache.fastest(keeper.config) == weights);
    CHECK(keeper.log.find("was the fastest here; " + remove) != std::string::npos);
  }
}

TEST_CASE("a kept result that is damaged, or of another version or measurement, counts as none") {
  Keeper keeper;
  keeper.cache.keep_fastest(keeper.config, {Weights::int8, true});
  REQUIRE(keeper.files().size() == 1);
  const fs::path file = keeper.files()[0];
  std::ifstream in(file, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::string> bad{"damaged"};
  for (const std::string key : {"\"version\":\"", "\"fastest\":\"", "\"measured\":\""}) {
    const std::size_t place = good.find(key);
    REQUIRE(place != std::string::npos);
    bad.push_back(good);
    char& first = bad.back()[place + key.size()];
    first = static_cast<char>(first ^ 1);
  }
  for (const std::string& content : bad) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    keeper.log.clear();
    CHECK_FALSE(keeper.cache.fastest(keeper.config));
    CHECK(keeper.log.find("is made anew: ") != std::string::npos);
  }
}
