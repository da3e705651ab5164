// Matrices that are stored in fewer bits, read as floats: values worked out by hand. Whole models are compared in
// tests/adapter/quantised_test.py.
#include <cmath>
#include <cstring>
#include <optional>

#include <anabranch/hf/model_weights.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace {

namespace hf = anabranch::hf;
using Floats = std::vector<float>;

struct Packed {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

hf::ModelWeights packed_model(const std::vector<Packed>& packed, const hf::StoredQuantisation& how) {
  const test::TemporaryFolder folder;
  std::vector<hf::RawTensor> tensors;
  for (const Packed& tensor : packed)
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape,
                       std::as_bytes(std::span<const char>(tensor.bytes.data(), tensor.bytes.size()))});
  hf::write_safetensors(folder / "model.safetensors", tensors);
  hf::ModelConfig config;
  config.quantisation = how;
  return {hf::Weights::open(folder.path()), config};
}

Floats rows_of(const hf::ModelWeights& weights, std::int64_t first, std::int64_t n) {
  const hf::StoredTensor stored = *weights.find("w.weight");
  Floats values(static_cast<std::size_t>(n * stored.shape()[1]));
  stored.read(first, values);
  return values;
}

using Kind = hf::StoredQuantisation::Kind;

}  // namespace

TEST_CASE("an 8-bit float is its value times the scale of its block") {
  const std::string values = bytes_of(std::vector<std::uint8_t>{0x38, 0xb8, 0x01, 0x7e, 0x40, 0x08});
  const auto model = [&](std::vector<std::int64_t> shape, const Floats& scales, std::int32_t rows,
                         std::int32_t columns) {
    return packed_model({{"w.weight", "F8_E4M3", {2, 3}, values}, {"w.scale", "F32", shape, bytes_of(scales)}},
                        {Kind::fp8, "scale", rows, columns, 0, false});
  };
  CHECK(rows_of(model({}, {2}, 0, 0), 0, 2) == Floats{2, -2, 0x1p-8f, 896, 4, 0x1p-5f});
  CHECK(rows_of(model({2, 1}, {1, 3}, 0, 0), 1, 1) == Floats{1344, 6, 3 * 0x1p-6f});
  CHECK(rows_of(model({2, 2}, {1, 2, 3, 4}, 1, 2), 0, 2) == Floats{1, -1, 0x1p-8f, 1344, 6, 0x1p-4f});
  CHECK(std::isnan(rows_of(packed_model({{"w.weight", "F8_E4M3", {1, 1}, "\x7f"}, {"w.scale", "BF16", {1}, "\x80\x3f"}},
                                        {Kind::fp8, "scale", 0, 0, 0, false}),
                           0, 1)[0]));
  CHECK(rows_of(packed_model({{"w.weight", "F8_E4M3", {1, 1}, "\x38"}, {"w.scale", "F8_E8M0", {1}, "\x82"}},
                             {Kind::fp8, "scale", 0, 0, 0, false}),
                0, 1) == Floats{8});
  CHECK_THAT(test::error_of([&] {
               rows_of(model({1, 2}, {1, 2}, 1, 2), 0, 1);
             }),
             Catch::Matchers::StartsWith("bad_file: ") && Catch::Matchers::Contains("expected shape [2, 2]") &&
                 Catch::Matchers::Contains("[1, 2]"));
}

TEST_CASE("a 4-bit integer is its distance from the zero point of its group, times the scale") {
  // [out 8, in 8]: number i of each output, zero points 0 to 7
  const std::vector<std::uint32_t> in_order(8, 0x76543210u), zeros{0x76543210u};
  const std::string scales = bytes_of(Floats{1, 1, 2, 1, 1, 1, 1, 0.5f});
  const auto gptq = packed_model({{"w.qweight", "I32", {1, 8}, bytes_of(in_order)},
                                  {"w.qzeros", "I32", {1, 1}, bytes_of(zeros)},
                                  {"w.scales", "F32", {1, 8}, scales}},
                                 {Kind::gptq, "", 0, 0, 0, true});
  CHECK(rows_of(gptq, 2, 1) == Floats{-6, -4, -2, 0, 2, 4, 6, 8});
  CHECK(rows_of(gptq, 7, 1) == Floats{-4, -3.5f, -3, -2.5f, -2, -1.5f, -1, -0.5f});
  // AWQ: a word has the outputs 0, 2, 4, 6, 1, 3, 5, 7 of one column
  const auto awq = packed_model({{"w.qweight", "I32", {8, 1}, bytes_of(in_order)},
                                 {"w.qzeros", "I32", {1, 1}, bytes_of(std::vector<std::uint32_t>{0})},
                                 {"w.scales", "F32", {1, 8}, scales}},
                                {Kind::awq, "", 0, 0, 0, false});
  CHECK(rows_of(awq, 0, 3) == Floats{0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2});
  CHECK(rows_of(awq, 7, 1) == Floats(8, 3.5f));
}
