#include "gguf_blocks.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <anabranch/error.hpp>
#include <anabranch/float16.hpp>

#include "bfloat16.hpp"

// Compiled without fused multiply-add (CMakeLists.txt): ggml rounds each product and each sum.

namespace anabranch::hf::impl {
namespace {

template <class Number>
Number load_number(const std::byte* from) noexcept {
  Number value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
float load_half(const std::byte* from) noexcept { return float16_to_float32(load_number<std::uint16_t>(from)); }
unsigned byte_of(std::byte value) noexcept { return std::to_integer<unsigned>(value); }
float as_float(int value) noexcept { return static_cast<float>(value); }

// Blocks of 32: the low halves of 16 bytes are the first 16 values, the high halves the others.
int low(const std::byte* nibbles, int i) noexcept { return static_cast<int>(byte_of(nibbles[i]) & 15u); }
int high(const std::byte* nibbles, int i) noexcept { return static_cast<int>(byte_of(nibbles[i]) >> 4); }

void read_f32(const std::byte* b, float* out) { *out = load_number<float>(b); }
void read_f16(const std::byte* b, float* out) { *out = load_half(b); }
void read_bf16(const std::byte* b, float* out) { *out = of_bfloat16(load_number<std::uint16_t>(b)); }

void read_q4_0(const std::byte* b, float* out) {
  const float scale = load_half(b);
  for (int i = 0; i < 16; ++i) {
    out[i] = as_float(low(b + 2, i) - 8) * scale;
    out[i + 16] = as_float(high(b + 2, i) - 8) * scale;
  }
}

void read_q4_1(const std::byte* b, float* out) {
  const float scale = load_half(b), least = load_half(b + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = as_float(low(b + 4, i)) * scale + least;
    out[i + 16] = as_float(high(b + 4, i)) * scale + least;
  }
}

/// The fifth bit of value i, in its place.
int fifth(std::uint32_t bits, int i) noexcept { return static_cast<int>(bits >> i & 1u) << 4; }

void read_q5_0(const std::byte* b, float* out) {
  const float scale = load_half(b);
  const auto bits = load_number<std::uint32_t>(b + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = as_float((low(b + 6, i) | fifth(bits, i)) - 16) * scale;
    out[i + 16] = as_float((high(b + 6, i) | fifth(bits, i + 16)) - 16) * scale;
  }
}

void read_q5_1(const std::byte* b, float* out) {
  const float scale = load_half(b), least = load_half(b + 2);
  const auto bits = load_number<std::uint32_t>(b + 4);
  for (int i = 0; i < 16; ++i) {
    out[i] = as_float(low(b + 8, i) | fifth(bits, i)) * scale + least;
    out[i + 16] = as_float(high(b + 8, i) | fifth(bits, i + 16)) * scale + least;
  }
}

void read_q8_0(const std::byte* b, float* out) {
  const float scale = load_half(b);
  for (int i = 0; i < 32; ++i) out[i] = as_float(load_number<std::int8_t>(b + 2 + i)) * scale;
}

/// Scale and minimum of each 32 values of a K block: 6 bits each, in 12 bytes. The first four pairs lie in the low bits
/// of bytes 0 to 3 and 4 to 7; the others in bytes 8 to 11, with their upper two bits on top of the first ones.
struct KScales {
  float scale, least;
  KScales(const std::byte* packed, float d, float d_least, int i) noexcept {
    const auto at = [&](int k) { return byte_of(packed[k]); };
    const unsigned s = i < 4 ? at(i) & 63u : (at(i + 4) & 15u) | at(i - 4) >> 6 << 4;
    const unsigned m = i < 4 ? at(i + 4) & 63u : at(i + 4) >> 4 | at(i) >> 6 << 4;
    scale = d * static_cast<float>(s);
    least = d_least * static_cast<float>(m);
  }
};

void read_q4_k(const std::byte* b, float* out) {
  const float d = load_half(b), d_least = load_half(b + 2);
  const std::byte* nibbles = b + 16;
  for (int pair = 0; pair < 4; ++pair, nibbles += 32, out += 64) {
    const KScales first(b + 4, d, d_least, 2 * pair), second(b + 4, d, d_least, 2 * pair + 1);
    for (int i = 0; i < 32; ++i) {
      out[i] = first.scale * as_float(low(nibbles, i)) - first.least;
      out[i + 32] = second.scale * as_float(high(nibbles, i)) - second.least;
    }
  }
}

void read_q5_k(const std::byte* b, float* out) {
  const float d = load_half(b), d_least = load_half(b + 2);
  const std::byte *fifths = b + 16, *nibbles = b + 48;
  for (int pair = 0; pair < 4; ++pair, nibbles += 32, out += 64) {
    const KScales first(b + 4, d, d_least, 2 * pair), second(b + 4, d, d_least, 2 * pair + 1);
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t bits = byte_of(fifths[i]);
      out[i] = first.scale * as_float(low(nibbles, i) | fifth(bits, 2 * pair)) - first.least;
      out[i + 32] = second.scale * as_float(high(nibbles, i) | fifth(bits, 2 * pair + 1)) - second.least;
    }
  }
}

void read_q6_k(const std::byte* b, float* out) {
  const std::byte *nibbles = b, *uppers = b + 128, *scales = b + 192;
  const float d = load_half(b + 208);
  for (int half = 0; half < 2; ++half, nibbles += 64, uppers += 32, scales += 8, out += 128)
    for (int i = 0; i < 32; ++i)
      for (int part = 0; part < 4; ++part) {
        const std::byte* from = nibbles + 32 * (part % 2);
        const int lower = part < 2 ? low(from, i) : high(from, i);
        const int upper = static_cast<int>(byte_of(uppers[i]) >> 2 * part & 3u) << 4;
        const float scale = d * as_float(load_number<std::int8_t>(scales + 2 * part + i / 16));
        out[32 * part + i] = scale * as_float((lower | upper) - 32);
      }
}

constexpr std::array kTypes{
    GgmlType{0, "F32", 1, 4, read_f32},
    GgmlType{1, "F16", 1, 2, read_f16},
    GgmlType{2, "Q4_0", 32, 18, read_q4_0},
    GgmlType{3, "Q4_1", 32, 20, read_q4_1},
    GgmlType{6, "Q5_0", 32, 22, read_q5_0},
    GgmlType{7, "Q5_1", 32, 24, read_q5_1},
    GgmlType{8, "Q8_0", 32, 34, read_q8_0},
    GgmlType{12, "Q4_K", 256, 144, read_q4_k},
    GgmlType{13, "Q5_K", 256, 176, read_q5_k},
    GgmlType{14, "Q6_K", 256, 210, read_q6_k},
    GgmlType{30, "BF16", 1, 2, read_bf16},
    // names for messages
    GgmlType{9, "Q8_1"},
    GgmlType{10, "Q2_K"},
    GgmlType{11, "Q3_K"},
    GgmlType{15, "Q8_K"},
    GgmlType{16, "IQ2_XXS"},
    GgmlType{17, "IQ2_XS"},
    GgmlType{18, "IQ3_XXS"},
    GgmlType{19, "IQ1_S"},
    GgmlType{20, "IQ4_NL"},
    GgmlType{21, "IQ3_S"},
    GgmlType{22, "IQ2_S"},
    GgmlType{23, "IQ4_XS"},
    GgmlType{24, "I8"},
    GgmlType{25, "I16"},
    GgmlType{26, "I32"},
    GgmlType{27, "I64"},
    GgmlType{28, "F64"},
    GgmlType{29, "IQ1_M"},
    GgmlType{34, "TQ1_0"},
    GgmlType{35, "TQ2_0"},
    GgmlType{39, "MXFP4"},
    GgmlType{40, "NVFP4"},
};

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t id) noexcept {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const GgmlType& type) { return type.id == id; });
  return found == kTypes.end() ? nullptr : &*found;
}

std::string readable_ggml_types() {
  std::string names, last;
  for (const GgmlType& type : kTypes) {
    if (type.read == nullptr) continue;
    if (!last.empty()) names += (names.empty() ? "" : ", ") + last;
    last = type.name;
  }
  return names + " and " + last;
}

void read_blocks(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> out) {
  const std::size_t n = bytes.size() / type.n_bytes;
  ANABRANCH_ASSERT(type.read != nullptr && n * type.n_bytes == bytes.size() && n * type.values == out.size());
  for (std::size_t i = 0; i < n; ++i) type.read(bytes.data() + i * type.n_bytes, out.data() + i * type.values);
}

}  // namespace anabranch::hf::impl
