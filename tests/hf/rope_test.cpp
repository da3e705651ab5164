// Rotary settings: spellings, frequencies beside those of transformers, and refusals.
#include <anabranch/hf/rope.hpp>

#include <cmath>

#include "catch.hpp"
#include "config_json.hpp"

namespace hf = anabranch::hf;
using hf::RopeScaling;
using test::bare_json;
using test::error_with;
using test::Json;
using test::load_config;

namespace {

Json recorded() { return Json::parse(test::read(test::recordings() / "rope_kinds.json")); }

void compare(const std::vector<double>& found, const Json& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i].get<double>()).epsilon(2e-6));
}

Json longrope(int n, const char* type = "longrope") {
  Json factors = Json::array(), others = Json::array();
  for (int i = 0; i < n; ++i) factors.push_back(1.0 + 0.25 * i), others.push_back(2.0 + 0.5 * i);
  return {{"type", type}, {"short_factor", factors}, {"long_factor", others}};
}

Json long_phi3() {
  Json json = bare_json("Phi3ForCausalLM", "phi3");
  json["max_position_embeddings"] = 64;
  json["original_max_position_embeddings"] = 16;
  json["rope_scaling"] = longrope(8);
  return json;
}

}  // namespace

TEST_CASE("Each kind's frequencies and attention factor equal those of transformers, in both spellings") {
  for (const Json& entry : recorded()) {
    INFO(entry["name"]);
    for (const char* spelling : {"v4", "v5"}) {
      hf::ModelConfig model = load_config(entry[spelling]);
      compare(hf::rope_inverse_frequencies(model.rope, model.head_dim), entry["frequencies"]);
      CHECK(model.rope.attention_factor == Approx(entry["attention_factor"].get<double>()));
      if (entry.contains("long_frequencies")) {
        CHECK(model.max_positions == entry["original"].get<int>());
        model.set_max_positions(model.max_positions + 1);
        compare(hf::rope_inverse_frequencies(model.rope, model.head_dim), entry["long_frequencies"]);
      }
    }
  }
}

TEST_CASE(
    "A model with longrope is read with the positions of its short factors, and extended by the number asked for") {
  hf::ModelConfig model = load_config(long_phi3());
  CHECK(model.rope.scaling == RopeScaling::longrope);
  CHECK(model.max_positions == 16);
  CHECK(model.most_positions == 64);
  CHECK(model.rope.attention_factor == Approx(std::sqrt(1 + std::log(4.0) / std::log(16.0))));
  const auto first = [&] { return hf::rope_inverse_frequencies(model.rope, model.head_dim).front(); };
  CHECK(first() == 1.0);
  model.set_max_positions(17);
  CHECK(model.max_positions == 17);
  CHECK(first() == 0.5);
  model.set_max_positions(8);
  CHECK(first() == 1.0);
  CHECK(test::error_of([&] { model.set_max_positions(65); }) ==
        "bad_argument: max_positions is 65, must be 1 to 64, the model's positions");
  CHECK(test::error_of([&] { model.set_max_positions(0); }).find("max_positions is 0") != std::string::npos);
  CHECK(model.max_positions == 8);
}

TEST_CASE("Phi-3's original positions count beside the settings, and its old names mean longrope") {
  for (const char* type : {"su", "yarn", "longrope"}) {
    Json json = long_phi3();
    json["rope_scaling"]["type"] = type;
    CHECK(load_config(json).rope.scaling == RopeScaling::longrope);
  }
  Json json = long_phi3();
  json["rope_scaling"]["original_max_position_embeddings"] = 32;
  CHECK(load_config(json).rope.original_max_positions == 16);
  json.erase("original_max_position_embeddings");
  CHECK(load_config(json).rope.original_max_positions == 4096);
  CHECK(load_config(json).max_positions == 64);
  CHECK(error_with(long_phi3(), "rope_scaling", {{"type", "linear"}, {"factor", 2.0}}) ==
        "unsupported: config.json: 'rope_scaling': 'type': \"linear\" is not supported for Phi3ForCausalLM; supported "
        "are \"default\" and \"longrope\"");
  CHECK(error_with(long_phi3(), "rope_scaling", longrope(7)) ==
        "bad_file: config.json: 'rope_scaling': 'short_factor': expected 8 numbers above 0, one for each rotary pair, "
        "found an array of 7 entries");
  json = long_phi3();
  json["rope_scaling"]["long_factor"][3] = 0;
  CHECK(test::config_error(json).find("'long_factor': expected 8 numbers above 0") != std::string::npos);
  json = long_phi3();
  json["rope_scaling"]["short_mscale"] = 1.2;
  CHECK(test::config_error(json) == "unsupported: config.json: 'rope_scaling': 'short_mscale': 1.2 is not supported");
}

TEST_CASE("Dynamic scaling is the plain one inside the model's positions") {
  Json json = test::llama_json();
  json["rope_scaling"] = {{"type", "dynamic"}, {"factor", 4.0}};
  const hf::ModelConfig model = load_config(json);
  CHECK(model.rope.scaling == RopeScaling::dynamic);
  CHECK(model.max_positions == 8192);
  CHECK(hf::rope_inverse_frequencies(model.rope, 64) == hf::rope_inverse_frequencies({.theta = 100000}, 64));
}

TEST_CASE("Yarn rounds its pairs unless 'truncate' is false or null, as in transformers") {
  Json json = test::llama_json();
  json["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  CHECK(load_config(json).rope.truncate);
  for (const Json& value : {Json(false), Json(nullptr)}) {
    json["rope_scaling"]["truncate"] = value;
    CHECK_FALSE(load_config(json).rope.truncate);
  }
}

TEST_CASE("Numbers that a kind needs are named where they are absent or impossible") {
  const auto error = [](const Json& scaling) { return error_with(test::llama_json(), "rope_scaling", scaling); };
  const std::string start = "bad_file: config.json: 'rope_scaling': ";
  for (const char* type : {"linear", "dynamic", "yarn"}) {
    CHECK(error({{"rope_type", type}}) == start + "'factor': expected a number above 0, found nothing");
    CHECK(error({{"rope_type", type}, {"factor", 0.5}}) ==
          start + "'factor': expected a number of at least 1, found 0.5");
  }
  CHECK(error({{"rope_type", "yarn"}, {"factor", 2.0}, {"rope_theta", 1.0}}) ==
        start + "'rope_theta': expected a number above 1 for yarn, found 1.000000");
  CHECK(error({{"rope_type", "yarn"}, {"factor", 2.0}, {"truncate", 1}}) ==
        start + "'truncate': expected true or false, found 1");
  CHECK(error({{"rope_type", "longrope"}}).find("'short_factor': expected 32 numbers above 0") != std::string::npos);
}

TEST_CASE("Names of the kinds are those of config.json") {
  for (const RopeScaling scaling : {RopeScaling::linear, RopeScaling::yarn, RopeScaling::longrope}) {
    Json json = bare_json("LlamaForCausalLM", "llama");
    json["rope_scaling"] = longrope(8, hf::rope_scaling_name(scaling));
    json["rope_scaling"]["factor"] = 2.0;
    CHECK(load_config(json).rope.scaling == scaling);
  }
  CHECK(std::string(hf::rope_scaling_name(RopeScaling::none)) == "default");
}

TEST_CASE("Frequencies of impossible settings are refused") {
  CHECK(test::error_of([] { hf::rope_inverse_frequencies({.rotary_share = 0.3}, 10); }) ==
        "bad_argument: rotary_share: expected an even part of 10 elements, found 3");
  CHECK(test::error_of([] { hf::rope_inverse_frequencies({.scaling = RopeScaling::longrope}, 8); }) ==
        "bad_argument: factors of longrope: expected 4, found 0");
}
