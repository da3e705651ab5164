// Prepared weights that are kept from load to load: the same bits, and never those of a file that is not ours.
#include "catch.hpp"
#include "torch/load_script.hpp"

#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include <anabranch/hf/adapter.hpp>

namespace {

namespace ab = anabranch;
namespace fs = std::filesystem;
using ab::test::file_content;
using ab::test::LoadScript;
using ab::test::write_content;
using Type = ab::torch::Weights;

ab::eigen::Weights weights_of(const ab::eigen::Shape& shape, unsigned seed) {
  return ab::eigen::random_weights(shape, seed);
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const std::size_t place = text.find(part);
  REQUIRE(place != std::string::npos);
  return text.replace(place, part.size(), by);
}

std::string flipped(std::string bytes, std::size_t place) {
  bytes.at(place) = static_cast<char>(bytes.at(place) ^ 1);
  return bytes;
}

/// With another first character behind `key`, and no byte more or less.
std::string with_other(const std::string& bytes, const std::string& key) {
  const std::size_t place = bytes.find(key);
  REQUIRE(place != std::string::npos);
  return flipped(bytes, place + key.size());
}

/// Sets environment variables while it lives; none: not set.
class Environment {
 public:
  void set(const char* name, std::optional<std::string> value) {
    const char* const before = std::getenv(name);
    before_.try_emplace(name, before == nullptr ? std::nullopt : std::optional<std::string>(before));
    put(name, value);
  }
  ~Environment() {
    for (const auto& [name, value] : before_) put(name.c_str(), value);
  }

 private:
  static void put(const char* name, const std::optional<std::string>& value) {
    if (value)
      ::setenv(name, value->c_str(), 1);
    else
      ::unsetenv(name);
  }
  std::map<std::string, std::optional<std::string>> before_;
};

constexpr const char* kChildFolder = "ANABRANCH_TEST_LOAD_FOLDER";
constexpr const char* kChildOut = "ANABRANCH_TEST_LOAD_OUT";

}  // namespace

TEST_CASE("a second load takes the kept weights and gives the same bits, in every family") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape(), ab::test::qwen3_shape()}) {
    LoadScript script(weights_of(shape, 41));
    const std::string fresh = script.run_fresh();
    CHECK(script.kept().empty());
    CHECK(script.load_and_run() == fresh);
    CHECK(script.passed("reads"));
    CHECK(script.said("kept in "));
    REQUIRE(script.kept().size() == 1);
    CHECK(script.load_and_run() == fresh);
    CHECK(script.said("taken from " + script.kept()[0].string()));
    CHECK(script.stages == std::vector<std::string>{"maps", "ready"});
    CHECK(script.fractions.back() == 1.0);
    ab::torch::CausalLm model = script.load();
    ab::torch::CausalLm other = model.with_own_slots();
    CHECK(ab::test::logit_bytes(other) == fresh);
  }
}

TEST_CASE("a kept file that is damaged, foreign or of another version is made anew") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape()}) {
    LoadScript script(weights_of(shape, 42));
    const std::string fresh = script.load_and_run();
    REQUIRE(script.kept().size() == 1);
    const fs::path file = script.kept()[0];
    const std::string good = file_content(file);
    const std::size_t header = static_cast<unsigned char>(good[0]) + 256 * static_cast<unsigned char>(good[1]) + 8;
    REQUIRE(header < good.size());

    std::map<std::string, std::string> bad{
        {"empty", ""},
        {"foreign", "not a model at all\n"},
        {"of one byte less", good.substr(0, good.size() - 1)},
        {"of one byte more", good + "x"},
        {"cut in the header", good.substr(0, header / 2)},
        {"cut in the tensors", good.substr(0, header + 1000)},
        {"somebody else's tensors", file_content(script.folder().path() / "model.safetensors")},
        {"of another version", with_other(good, "\"version\":\"")},
        {"of another format", replaced(good, "prepared weights 2", "prepared weights 3")},
        {"of another kernel form", replaced(good, "panels of 32", "panels of 16")}};
    for (std::size_t place = 0; place < header; place += 23)
      bad.emplace("flipped in the header at " + std::to_string(place), flipped(good, place));
    for (std::size_t place = header; place < good.size(); place += (good.size() - header - 1) / 9)
      bad.emplace("flipped in the tensors at " + std::to_string(place), flipped(good, place));
    bad.emplace("flipped in the last byte", flipped(good, good.size() - 1));
    for (const auto& [damage, content] : bad) {
      INFO("a file " << damage);
      write_content(file, content);
      CHECK(script.load_and_run() == fresh);
      CHECK(script.said("is made anew: "));
      CHECK(script.passed("reads"));
      CHECK(file_content(file) == good);
    }
    CHECK(script.kept().size() == 1);
    fs::remove(file);
    fs::create_directory(file);  // cannot be read, nor written
    CHECK(script.load_and_run() == fresh);
    CHECK(script.said("not kept: "));
  }
}

TEST_CASE("kept weights are those of the files and of the adapter that they were made of") {
  LoadScript script(weights_of(ab::test::llama_shape(), 43));
  const std::string first = script.load_and_run();
  const ab::eigen::Weights others = weights_of(ab::test::llama_shape(), 44);
  const fs::path model = script.folder().path() / "model.safetensors";
  const auto time = fs::last_write_time(model);
  script.folder().write_tensors(ab::eigen::named_tensors(others));
  fs::last_write_time(model, time);  // of the same size and time: only the content tells
  const std::string second = script.load_and_run();
  CHECK(second != first);
  CHECK(second == script.run_fresh());
  CHECK(script.said("made of or for something else (sources)"));
  CHECK(script.kept().size() == 1);

  ab::hf::Adapter adapter;
  adapter.rank = 1;
  adapter.alpha = 2;
  adapter.modules["model.layers.0.self_attn.q_proj"] = {
      48, 48, std::vector<float>(48, 0.1f), std::vector<float>(48, 0.2f), {}};
  adapter.tokens = {{3}, std::vector<float>(48, 0.25f)};
  const fs::path folder = script.folder().path() / "adapter";
  adapter.save(folder, ab::hf::Dtype::f32);
  script.options.adapter = folder;
  const std::string adapted = script.load_and_run();
  CHECK(script.passed("merges the adapter"));
  CHECK(adapted != second);
  CHECK(adapted == script.run_fresh());
  CHECK(script.kept().size() == 2);
  CHECK(script.load_and_run() == adapted);
  CHECK(script.passed("maps"));
  adapter.alpha = 3;
  adapter.save(folder, ab::hf::Dtype::f32);
  CHECK(script.load_and_run() == script.run_fresh());
  CHECK(script.load_and_run() != adapted);
  CHECK(script.kept().size() == 2);
  fs::remove(folder / "adapter_config.json");
  CHECK(ab::test::status_of([&] { script.load(); }) == ab::Status::bad_file);
  script.options.adapter.reset();
  CHECK(script.load_and_run() == second);
  CHECK(script.passed("maps"));
  fs::remove(model);
  CHECK(ab::test::status_of([&] { script.load(); }) == ab::Status::bad_file);
}

TEST_CASE("a head that differs from the embedding it should be tied to counts in every type, kept or not") {
  ab::eigen::Shape shape = ab::test::llama_shape();
  LoadScript script(weights_of(shape, 48)), untied(weights_of(shape, 48));
  std::vector<ab::eigen::NamedTensor> tensors = ab::eigen::named_tensors(weights_of(shape, 48));
  const auto embedding = std::find_if(tensors.begin(), tensors.end(),
                                      [](const auto& tensor) { return tensor.name == "model.embed_tokens.weight"; });
  REQUIRE(embedding != tensors.end());
  ab::eigen::NamedTensor head = *embedding;
  head.name = "lm_head.weight";
  tensors.push_back(head);
  const std::string tied = script.run_fresh();
  script.folder().write_tensors(tensors);
  CHECK(script.load_and_run() == tied);
  const auto small = ab::torch::CausalLm::estimate(script.folder().path(), script.options);
  for (float& value : tensors.back().values) value = -value;
  shape.tied_head = false;
  untied.folder().write_config(ab::eigen::config_json(shape));
  for (const LoadScript* each : {&script, &untied}) each->folder().write_tensors(tensors);
  for (const Type type : {Type::float32, Type::bfloat16, Type::int8}) {
    script.options.weights = untied.options.weights = type;
    const std::string expected = untied.run_fresh();
    CHECK(script.run_fresh() == expected);
    CHECK(script.load_and_run() == expected);
    CHECK(script.load_and_run() == expected);
    CHECK(script.passed("maps") == (type == Type::int8));
    const auto estimate = ab::torch::CausalLm::estimate(script.folder().path(), script.options);
    CHECK(estimate.total() == ab::torch::CausalLm::estimate(untied.folder().path(), untied.options).total());
    CHECK(estimate.total() > small.total());
    CHECK(expected != tied);
  }
}

TEST_CASE("an adapter that unties the head or changes the vocabulary is kept with the tensors that it makes") {
  const ab::eigen::Weights base = weights_of(ab::test::llama_shape(), 49);
  LoadScript script(base);
  const ab::hf::ModelConfig config = ab::hf::ModelConfig::load(script.folder().path());
  const auto n = static_cast<std::size_t>(config.vocabulary);
  ab::hf::Adapter adapter;
  adapter.rank = 1;
  adapter.alpha = 2;
  adapter.modules["lm_head"] = {48, config.vocabulary, std::vector<float>(48, 0.1f), std::vector<float>(n, 0.0f), {}};
  adapter.modules["lm_head"].b[7] = 3.0f;
  script.options.adapter = script.folder().path() / "adapter";
  adapter.save(*script.options.adapter, ab::hf::Dtype::f32);
  const std::string fresh = script.run_fresh();
  CHECK(script.load_and_run() == fresh);
  CHECK_FALSE(script.passed("maps"));
  CHECK(script.load_and_run() == fresh);
  CHECK(script.passed("maps"));
  CHECK_FALSE(script.load().config().tied_embeddings);
  script.options.weights = Type::float32;
  script.options.adapter.reset();
  ab::torch::CausalLm plain = script.load();
  script.options.adapter = script.folder().path() / "adapter";
  ab::torch::CausalLm changed = script.load();
  const auto plan = [] { return ab::test::serial_plan({3, 1, 4}, 0, 16); };
  const auto row = [](std::span<const float> r) { return std::vector<float>(r.begin(), r.end()); };
  const std::vector<float> before = row(plain(plan().plan()).row(0)), after = row(changed(plan().plan()).row(0));
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK((after[i] == before[i]) == (i != 7));
}

TEST_CASE("weights are kept where options or environment say, or nowhere") {
  LoadScript script(weights_of(ab::test::llama_shape(), 45));
  const fs::path root = script.folder().path();
  const std::string fresh = script.run_fresh();
  const auto n_files = [](const fs::path& folder) {
    std::error_code none;
    const fs::directory_iterator files(folder, none);
    return none ? 0 : std::distance(begin(files), end(files));
  };
  script.options.weight_cache.folder = root / "config.json" / "kept";  // not a folder: for root too
  CHECK(script.load_and_run() == fresh);
  CHECK(script.said("not kept: cannot make the folder"));

  script.options.weight_cache.folder.clear();
  Environment environment;
  environment.set("ANABRANCH_WEIGHT_CACHE", "off");
  CHECK(script.load_and_run() == fresh);
  CHECK(script.lines.empty());
  environment.set("ANABRANCH_WEIGHT_CACHE", (root / "here").string());
  CHECK(script.load_and_run() == fresh);
  CHECK(n_files(root / "here") == 1);
  environment.set("ANABRANCH_WEIGHT_CACHE", std::nullopt);
  environment.set("ANABRANCH_CACHE", (root / "cache").string());
  script.load();
  CHECK(n_files(root / "cache" / "weights") == 1);
  environment.set("ANABRANCH_CACHE", "");
  environment.set("XDG_CACHE_HOME", (root / "xdg").string());
  script.load();
  CHECK(n_files(root / "xdg" / "anabranch" / "weights") == 1);
  environment.set("XDG_CACHE_HOME", std::nullopt);
  environment.set("HOME", (root / "home").string());
  script.load();
  CHECK(n_files(root / "home" / ".cache" / "anabranch" / "weights") == 1);
  environment.set("HOME", std::nullopt);
  CHECK(script.load_and_run() == fresh);
  CHECK(script.lines.empty());

  script.options.weight_cache.folder = script.kept_folder();
  script.options.weight_cache.min_bytes = 1 << 20;
  script.load();
  CHECK(script.kept().empty());
  script.options.weight_cache.min_bytes = 0;
  script.options.weights = ab::torch::Weights::float32;
  script.load();
  CHECK(script.kept().empty());
}

TEST_CASE("what a writer that was ended left behind is removed after an hour") {
  LoadScript script(weights_of(ab::test::llama_shape(), 46));
  script.load();
  REQUIRE(script.kept().size() == 1);
  const fs::path file = script.kept()[0], old = file.string() + ".tmp-1-0", young = file.string() + ".tmp-2-0";
  write_content(old, "half");
  write_content(young, "half");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  write_content(file, "damaged");
  script.load();
  CHECK(script.kept() == std::vector<fs::path>{file, young});
}

TEST_CASE("the fastest type is measured until the result was clear, and then known") {
  LoadScript script(weights_of(ab::test::llama_shape(), 47));
  script.options.weights = ab::torch::Weights::automatic;
  script.options.weight_cache.min_bytes = 1 << 20;
  const ab::torch::Weights measured = script.load().weights();
  CHECK(script.passed("measures"));
  const bool clear = !script.kept().empty();  // depends on what else the machine does
  CHECK(script.said(std::string(ab::torch::weights_name(measured)) +
                    (clear ? " is the fastest here, measured; to measure" : " is taken; the measured times")));
  const ab::torch::Weights again = script.load().weights();
  CHECK(script.passed("measures") == !clear);
  if (clear) CHECK(again == measured);
}

TEST_CASE("a load of another process", "[.child]") {
  const char* const folder = std::getenv(kChildFolder);
  const char* const out = std::getenv(kChildOut);
  REQUIRE((folder != nullptr && out != nullptr));
  ab::torch::LoadOptions options;
  options.weights = ab::torch::Weights::int8;
  options.weight_cache = {.folder = fs::path(folder) / "kept", .min_bytes = 0};
  ab::torch::CausalLm model = ab::torch::CausalLm::load(folder, options);
  write_content(out, ab::test::logit_bytes(model));
}

TEST_CASE("processes that load at the same time all get the same bits, and leave one file") {
  LoadScript script(weights_of(ab::test::qwen2_shape(), 48));
  const std::string fresh = script.run_fresh();
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  Environment environment;
  environment.set(kChildFolder, script.folder().path().string());
  std::string all;
  for (int i = 0; i < 3; ++i)
    all += std::string(kChildOut) + "=" + (script.folder().path() / ("out" + std::to_string(i))).string() + " '" +
           program + "' 'a load of another process' > /dev/null & ";
  REQUIRE(std::system((all + "wait").c_str()) == 0);
  for (int i = 0; i < 3; ++i) CHECK(file_content(script.folder().path() / ("out" + std::to_string(i))) == fresh);
  CHECK(script.kept().size() == 1);
  CHECK(script.load_and_run() == fresh);
  CHECK(script.passed("maps"));
}
