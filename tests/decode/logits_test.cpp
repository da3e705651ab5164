// Logits of other types and with a row stride: they give the tokens of the floats that they stand for.
#include <random>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/float16.hpp>

#include "catch.hpp"

namespace ab = anabranch;
using ab::LogitType;

namespace {

constexpr std::int32_t kWidth = 97;

struct NoText {
  void operator()(std::span<const ab::TokenId>, std::string&) const {}
};

float float_of(LogitType type, std::uint16_t bits) {
  return type == LogitType::float16 ? ab::float16_to_float32(bits) : ab::float_of_bits(std::uint32_t{bits} << 16);
}

/// Three requests of 20 sampled tokens each. `as_floats`: the model's half logits are handed over as floats.
std::vector<ab::TokenId> answers(LogitType type, std::int64_t row_stride, bool as_floats) {
  ab::KvCache cache({.n_pages = 64});
  ab::Decoder decoder(cache, ab::markup::Serial{}, NoText{});
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    decoder.submit({1, 2}, {.sampling = {.temperature = seed == 3 ? 0.0f : 0.9f, .seed = seed}, .max_tokens = 20});
  std::mt19937 random(5);
  std::vector<ab::TokenId> tokens;
  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    REQUIRE(plan);
    const auto n = static_cast<std::int32_t>(plan->outputs.size());
    const std::int64_t stride = row_stride != 0 ? row_stride : kWidth;
    std::vector<std::uint16_t> bits(static_cast<std::size_t>(n * stride), 0x7fff);  // NaN between the rows
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < kWidth; ++j) {
        const float value = static_cast<float>(random() % 4096) / 512.0f - 4.0f;
        bits[static_cast<std::size_t>(i * stride + j)] =
            type == LogitType::float16 ? ab::float32_to_float16(value)
                                       : static_cast<std::uint16_t>(ab::bits_of_float(value) >> 16);
      }
    std::vector<float> floats;
    for (const std::uint16_t b : bits) floats.push_back(float_of(type, b));
    const ab::LogitsView logits = as_floats ? ab::LogitsView(floats.data(), n, kWidth, row_stride)
                                            : ab::LogitsView(type, bits.data(), n, kWidth, row_stride);
    for (const ab::Event& event : decoder.commit(logits))
      if (event.kind == ab::Event::Kind::token) tokens.push_back(event.token);
  }
  return tokens;
}

std::string refusal(const ab::LogitsView& logits) {
  ab::KvCache cache({.n_pages = 8});
  ab::Decoder decoder(cache, ab::markup::Serial{}, NoText{});
  decoder.submit({1, 2}, {.max_tokens = 2});
  REQUIRE(decoder.plan());
  try {
    decoder.commit(logits);
  } catch (const ab::Error& error) {
    return error.status() == ab::Status::bad_logits ? error.what() : "another status";
  }
  return "";
}

}  // namespace

TEST_CASE("half logits and logits with a row stride give the tokens of the floats they stand for") {
  for (const LogitType type : {LogitType::float16, LogitType::bfloat16}) {
    const std::vector<ab::TokenId> expected = answers(type, 0, true);
    REQUIRE(expected.size() == 60);
    CHECK(answers(type, 0, false) == expected);
    CHECK(answers(type, 100, false) == expected);
    CHECK(answers(type, 100, true) == expected);
  }
}

TEST_CASE("a row stride below the vocabulary is refused, and half logits are not read as floats") {
  const std::vector<float> floats(8);
  CHECK(refusal({floats.data(), 1, 8, 7}) == "a row stride of 7 for rows of 8 logits");
  CHECK(refusal({floats.data(), 1, 8, -8}) == "a row stride of -8 for rows of 8 logits");
  const std::uint16_t nan = 0x7e00;
  CHECK_FALSE(refusal({LogitType::float16, &nan, 1, 1}).empty());
  CHECK_THROWS_WITH(ab::LogitsView(LogitType::float16, &nan, 1, 1).row(0),
                    "these logits are no float32; convert each row");
}
