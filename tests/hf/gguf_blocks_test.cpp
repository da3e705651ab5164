// Blocks of a GGUF file's tensors as floats: bit for bit what the Python package gguf makes of the same bytes
// (record_gguf_blocks.py), through the rows of a model's tensors.
#include <bit>
#include <sstream>
#include <string>
#include <vector>

#include <anabranch/hf/model_weights.hpp>

#include "catch.hpp"
#include "hf/files.hpp"
#include "hf/gguf_writer.hpp"

namespace {

namespace hf = anabranch::hf;

struct RecordedBlocks {
  std::uint32_t id = 0;
  std::string name, bytes;
  std::vector<std::uint32_t> bits;
};

std::vector<RecordedBlocks> recorded_blocks() {
  std::vector<RecordedBlocks> all;
  for (const std::string& line : test::lines_of(test::recordings() / "gguf_blocks.txt")) {
    std::istringstream words(line);
    RecordedBlocks recorded;
    std::string bytes, bits;
    words >> recorded.id >> recorded.name >> bytes >> bits;
    for (std::size_t i = 0; i < bytes.size(); i += 2)
      recorded.bytes += static_cast<char>(std::stoul(bytes.substr(i, 2), nullptr, 16));
    for (std::size_t i = 0; i < bits.size(); i += 8)
      recorded.bits.push_back(static_cast<std::uint32_t>(std::stoul(bits.substr(i, 8), nullptr, 16)));
    all.push_back(std::move(recorded));
  }
  return all;
}

/// The head of a model with nothing else but an embedding.
std::vector<float> read_head(const test::fs::path& file, std::int64_t first, std::int64_t n) {
  hf::ModelConfig config;
  const hf::ModelWeights weights(hf::Weights::open(file), config);
  const hf::StoredTensor head = *weights.find("lm_head.weight");
  std::vector<float> rows(static_cast<std::size_t>(n * head.shape()[1]));
  head.read(first, rows);
  return rows;
}

}  // namespace

TEST_CASE("blocks of each type are the numbers that the package gguf reads") {
  const std::vector<RecordedBlocks> all = recorded_blocks();
  REQUIRE(all.size() == 11);
  for (const RecordedBlocks& recorded : all) {
    INFO(recorded.name);
    const std::uint64_t rows = recorded.bits.size() % 256 == 0 ? 2 : 4, width = recorded.bits.size() / rows;
    const test::TemporaryFolder folder;
    test::tiny_gguf("llama")
        .floats("token_embd.weight", {rows, width})
        .tensor("output.weight", {rows, width}, recorded.id, recorded.bytes)
        .write(folder / "m.gguf");
    const std::vector<float> values = read_head(folder / "m.gguf", 0, static_cast<std::int64_t>(rows));
    REQUIRE(values.size() == recorded.bits.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      INFO("value " << i);
      REQUIRE(std::bit_cast<std::uint32_t>(values[i]) == recorded.bits[i]);
    }
    const std::vector<float> last = read_head(folder / "m.gguf", static_cast<std::int64_t>(rows) - 1, 1);
    CHECK(std::equal(last.begin(), last.end(), values.end() - static_cast<std::ptrdiff_t>(width)));
  }
}

TEST_CASE("rows of q and k that a Llama's GGUF file keeps as rotary pairs come in a folder's order") {
  const test::TemporaryFolder folder;
  test::GgufWriter file = test::tiny_gguf("llama");
  // two heads of 4: rows 0, 2, 1, 3 of each stand behind each other
  std::vector<float> q, bias;
  for (const float row : {0.0f, 2.0f, 1.0f, 3.0f, 4.0f, 6.0f, 5.0f, 7.0f}) {
    bias.push_back(row);
    for (int i = 0; i < 8; ++i) q.push_back(row + static_cast<float>(i) / 8);
  }
  file.floats("token_embd.weight", {5, 8})
      .floats("blk.0.attn_q.weight", {8, 8}, q)
      .floats("blk.0.attn_q.bias", {8}, bias)
      .floats("blk.0.attn_v.weight", {4, 8}, std::vector<float>(q.begin(), q.begin() + 32))
      .write(folder / "m.gguf");
  const hf::ModelWeights weights(hf::Weights::open(folder / "m.gguf"), hf::ModelConfig());
  const auto read = [&](const char* name, std::int64_t first, std::int64_t n) {
    const hf::StoredTensor stored = *weights.find(name);
    std::vector<float> rows(static_cast<std::size_t>(n * (stored.shape().size() > 1 ? stored.shape()[1] : 1)));
    stored.read(first, rows);
    return rows;
  };
  const std::vector<float> rows = read("model.layers.0.self_attn.q_proj.weight", 0, 8);
  for (std::size_t i = 0; i < rows.size(); ++i)
    CHECK(rows[i] == static_cast<float>(i / 8) + static_cast<float>(i % 8) / 8);
  CHECK(read("model.layers.0.self_attn.q_proj.weight", 5, 1)[0] == 5);
  CHECK(read("model.layers.0.self_attn.q_proj.bias", 0, 8) == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(read("model.layers.0.self_attn.q_proj.bias", 5, 2) == std::vector<float>{5, 6});
  CHECK(read("model.layers.0.self_attn.v_proj.weight", 1, 1)[0] == 2);  // as it is stored
  CHECK_THAT(test::error_of([&] { hf::read_floats(*weights.files().find("model.layers.0.self_attn.q_proj.weight")); }),
             Catch::Matchers::StartsWith("unsupported: "));
}

TEST_CASE("norms of a Gemma's GGUF file come without the 1 that it adds") {
  const test::TemporaryFolder folder;
  test::tiny_gguf("gemma3")
      .floats("token_embd.weight", {5, 8})
      .floats("output_norm.weight", {3}, {1, 1.5f, -0.25f})
      .floats("blk.1.attn_q_norm.weight", {2}, {2, 0})
      .write(folder / "m.gguf");
  const hf::ModelWeights weights(hf::Weights::open(folder / "m.gguf"), hf::ModelConfig());
  std::vector<float> norm(3), head(2);
  weights.find("model.norm.weight")->read(0, norm);
  CHECK(norm == std::vector<float>{0, 0.5f, -1.25f});
  weights.find("model.layers.1.self_attn.q_norm.weight")->read(0, head);
  CHECK(head == std::vector<float>{1, -1});
}

TEST_CASE("tensors of a GGUF file that cannot be rows of a matrix are refused") {
  const test::TemporaryFolder folder;
  const auto error = [&](const test::GgufWriter& file) {
    file.write(folder / "m.gguf");
    return test::error_of([&] { hf::Weights::open(folder / "m.gguf"); });
  };
  CHECK_THAT(error(test::tiny_gguf("llama").tensor("output_norm.weight", {32}, 2, std::string(18, '\0'))),
             Catch::Matchers::Contains("expected a matrix, or a vector of F32, F16 or BF16, found Q4_0 [32]"));
  CHECK_THAT(error(test::tiny_gguf("llama").floats("blk.0.attn_k.weight", {3, 8})),
             Catch::Matchers::Contains("expected rows of 1 heads of rotary pairs, found 3"));
  CHECK_THAT(
      error(test::tiny_gguf("llama").floats("blk.00.attn_k.weight", {4, 8})),
      Catch::Matchers::Contains("tensor \"blk.00.attn_k.weight\": the architecture \"llama\" has no such tensor"));
  CHECK_THAT(error(test::tiny_gguf("llama").floats("output_norm.weight", {8}).floats("output_norm.weight", {8})),
             Catch::Matchers::Contains("tensor \"output_norm.weight\": expected it once, found it again"));
}
