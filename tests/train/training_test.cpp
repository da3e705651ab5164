// The loop on tiny models: it learns, a seed repeats it, and a checkpoint goes on bit for bit.
#include <anabranch/train/training.hpp>

#include <fstream>

#include "catch.hpp"
#include "train/tiny_training.hpp"

namespace ab = anabranch;
using namespace ab::test;
using ab::train::Compute;
using ab::train::Losses;
using ab::train::Model;
using ab::train::StepReport;
using ab::train::TokenRow;
using ab::train::Training;
using ab::train::TrainingOptions;
using Catch::Matchers::Contains;

namespace {

std::vector<TokenRow> rows() {
  std::vector<TokenRow> out{renderer().render(nested_sample())};
  for (const char* word : {"one", "two words", "three", "fourth"})
    out.push_back(
        renderer().render(sample_of(std::string(R"([{"text": "say "}, {"branches": [{"title": "t", "text": ")") + word +
                                        R"("}, {"title": "u", "text": "v"}]}])",
                                    word)));
  out.push_back(renderer().render(sample_of(R"([{"text": "no branches here"}])", "plain")));
  return out;
}

TrainingOptions options(std::uint64_t seed = 1) {
  TrainingOptions o;
  o.schedule = {.epochs = 3, .tokens_per_step = 60, .tokens_per_pass = 40, .seed = seed};
  o.rate.peak = 0.02;
  o.optimizer.weight_decay = 0.01;
  return o;
}

/// A run on a tiny model of its own.
struct TinyRun {
  explicit TinyRun(const std::filesystem::path& folder, std::uint64_t seed = 1, Compute compute = Compute::float32)
      : model(Model::load(folder, tiny_options(compute))), training(model, rows(), options(seed)) {}

  std::vector<double> go(std::int64_t n_steps) {
    std::vector<double> losses;
    for (; n_steps > 0 && !training.done(); --n_steps) losses.push_back(training.step().losses.total());
    return losses;
  }
  std::vector<float> values() {
    std::vector<float> all;
    for (const auto& p : model.parameters()) all.insert(all.end(), p.values.begin(), p.values.end());
    return all;
  }

  Model model;
  Training training;
};

}  // namespace

TEST_CASE("training lowers the loss of what it is shown, and reports every step") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  TinyRun run(folder.path());
  const double before = run.training.evaluate(rows()).mean();
  REQUIRE(run.training.n_steps() > 6);
  const StepReport first = run.training.step();
  CHECK(first.step == 1);
  CHECK(first.epoch == 0);
  CHECK(first.n_tokens > 0);
  CHECK(first.losses.n_targets() > 0);
  CHECK(first.rate == ab::train::learning_rate(0, run.training.n_steps(), options().rate));
  CHECK(first.gradient_norm > 0);
  run.go(1000);
  CHECK(run.training.done());
  CHECK(run.training.evaluate(rows()).mean() < 0.8 * before);
  CHECK_THROWS_AS(run.training.step(), ab::Error);
}

TEST_CASE("the same seed gives the same run bit for bit, another seed another run") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  for (const Compute compute : {Compute::float32, Compute::bfloat16}) {
    TinyRun one(folder.path(), 1, compute), again(folder.path(), 1, compute), other(folder.path(), 2, compute);
    CHECK(one.go(5) == again.go(5));
    CHECK(one.values() == again.values());
    other.go(5);
    CHECK(one.values() != other.values());
  }
}

TEST_CASE("a run that goes on from a checkpoint equals one that was not interrupted, bit for bit") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  for (const std::int64_t pause : {0, 1, 4}) {
    TinyRun whole(folder.path());
    std::vector<double> expected = whole.go(1000);
    const auto checkpoint = folder.path() / "checkpoint";
    std::vector<double> losses;
    {
      TinyRun part(folder.path());
      losses = part.go(pause);
      part.training.save(checkpoint, "settings");
    }
    TinyRun rest(folder.path());
    rest.training.restore(checkpoint, "settings");
    CHECK(rest.training.n_done() == pause);
    for (const double loss : rest.go(1000)) losses.push_back(loss);
    CHECK(losses == expected);
    CHECK(rest.values() == whole.values());
  }
}

TEST_CASE("a checkpoint replaces the one before, and nothing unfinished stays") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  TinyRun run(folder.path());
  const auto checkpoint = folder.path() / "c";
  run.training.save(checkpoint, "s");
  run.go(2);
  run.training.save(checkpoint, "s");
  CHECK_FALSE(std::filesystem::exists(folder.path() / "c.unfinished"));
  TinyRun rest(folder.path());
  rest.training.restore(checkpoint, "s");
  CHECK(rest.training.n_done() == 2);
}

TEST_CASE("a run that ended while one checkpoint replaced another goes on from the one before") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  TinyRun part(folder.path());
  part.go(2);
  part.training.save(folder.path() / "checkpoint", "s");
  std::filesystem::rename(folder.path() / "checkpoint", folder.path() / "checkpoint.before");
  TinyRun rest(folder.path());
  rest.training.restore(folder.path() / "checkpoint", "s");
  CHECK(rest.training.n_done() == 2);
  rest.go(1);
  rest.training.save(folder.path() / "checkpoint", "s");
  rest.training.restore(folder.path() / "checkpoint", "s");
  CHECK(rest.training.n_done() == 3);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "checkpoint.before"));
}

TEST_CASE("a checkpoint of another run, or a damaged one, is refused and changes nothing") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  TinyRun run(folder.path());
  run.go(2);
  const auto checkpoint = folder.path() / "c";
  run.training.save(checkpoint, "rank 3");
  TinyRun other(folder.path());
  const std::vector<float> before = other.values();
  const auto error = [&](const char* settings) {
    return ::test::error_of([&] { other.training.restore(checkpoint, settings); });
  };
  CHECK_THAT(error("rank 4"), Contains("rank 3") && Contains("rank 4"));
  std::ofstream(checkpoint / "state.json") << "{\"step\": 2";
  CHECK_THAT(error("rank 3"), Contains("state.json"));
  run.training.save(checkpoint, "rank 3");
  std::filesystem::resize_file(checkpoint / "state.safetensors", 100);
  CHECK_THAT(error("rank 3"), Contains("state.safetensors"));
  std::filesystem::remove_all(checkpoint);
  CHECK_THAT(error("rank 3"), Contains("state.json"));
  CHECK(other.values() == before);
  CHECK(other.training.n_done() == 0);
}

TEST_CASE("validation adds up the losses of all rows and changes nothing") {
  const TinyFolder folder(ab::eigen::random_weights(with_bytes(llama_shape()), 71));
  TinyRun run(folder.path());
  const std::vector<float> before = run.values();
  const std::vector<TokenRow> all = rows();
  Losses expected;
  for (const TokenRow& row : all) {
    const TokenRow* const one[] = {&row};
    expected += run.model.evaluate(one);
  }
  const Losses losses = run.training.evaluate(all);
  CHECK(losses.count == expected.count);
  CHECK(losses.total() == Approx(expected.total()).epsilon(1e-5));
  CHECK(run.values() == before);
}
