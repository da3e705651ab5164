// A warp, for the phases of a kernel: on the device and on the host.
//
// On the device every thread runs a phase for its own lane and keeps its own registers. On the host one thread runs it
// for all 32 lanes, whose registers lie in an array. `each` is "for every lane"; the other functions are the warp's
// collective instructions, which read the registers of several lanes: on the device one PTX instruction, on the host
// the same exchange, written out from the PTX manual's tables of which lane holds which element.
#pragma once

#include <cstdint>

#include "half.hpp"
#include "host_device.hpp"

namespace anabranch::cuda {

inline constexpr int kLanes = 32;

template <class Registers>
struct Warp {
  int index;         ///< in its block
  Registers* lanes;  ///< device: the thread's own; host: [32]

  /// Calls body(lane, registers).
  template <class Body>
  ANABRANCH_HOST_DEVICE void each(Body body) const {
#if defined(__CUDA_ARCH__)
    body(static_cast<int>(threadIdx.x) % kLanes, *lanes);
#else
    for (int lane = 0; lane < kLanes; ++lane) body(lane, lanes[lane]);
#endif
  }
  /// Number of a lane's thread in its block.
  ANABRANCH_HOST_DEVICE int thread(int lane) const { return index * kLanes + lane; }
};

// Of a 16 x 8 product tile lane l holds rows l / 4 and l / 4 + 8, columns 2 * (l % 4) and the next; elements 0 and 1
// are the first row's, 2 and 3 the second's.
ANABRANCH_HOST_DEVICE int tile_row(int lane, int element) { return lane / 4 + element / 2 * 8; }
ANABRANCH_HOST_DEVICE int tile_column(int lane, int element) { return lane % 4 * 2 + element % 2; }

/// value = combine over the four lanes that hold a row, in a fixed order. `pick(registers)` is the float.
template <class Registers, class Pick, class Combine>
ANABRANCH_HOST_DEVICE void reduce_row(const Warp<Registers>& warp, Pick pick, Combine combine) {
#if defined(__CUDA_ARCH__)
  float& value = pick(*warp.lanes);
  value = combine(value, __shfl_xor_sync(0xffffffffu, value, 1));
  value = combine(value, __shfl_xor_sync(0xffffffffu, value, 2));
#else
  for (int first = 0; first < kLanes; first += 4) {
    float v[4];
    for (int i = 0; i < 4; ++i) v[i] = pick(warp.lanes[first + i]);
    const float pair[2] = {combine(v[0], v[1]), combine(v[2], v[3])};
    for (int i = 0; i < 4; ++i) pick(warp.lanes[first + i]) = combine(pair[i / 2], pair[1 - i / 2]);
  }
#endif
}

/// ldmatrix.x4: four 8 x 8 matrices of 16-bit elements from shared memory. `row_of(i, r)` points to row r of matrix i,
/// 16 bytes aligned. Word i of lane l becomes elements (l / 4, 2 * (l % 4)) and the next of matrix i; transposed,
/// elements (2 * (l % 4), l / 4) and the one below. `pick(registers)` is the lane's four words.
template <bool kTransposed, class Registers, class RowOf, class Pick>
ANABRANCH_HOST_DEVICE void load_matrices(const Warp<Registers>& warp, RowOf row_of, Pick pick) {
#if defined(__CUDA_ARCH__)
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row_of(lane / 8, lane % 8)));
  std::uint32_t* words = pick(*warp.lanes);
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
  }
#else
  for (int lane = 0; lane < kLanes; ++lane)
    for (int i = 0; i < 4; ++i) {
      const int sequence = lane / 4, pair = lane % 4 * 2;
      const std::uint32_t low = kTransposed ? row_of(i, pair)[sequence] : row_of(i, sequence)[pair];
      const std::uint32_t high = kTransposed ? row_of(i, pair + 1)[sequence] : row_of(i, sequence)[pair + 1];
      pick(warp.lanes[lane])[i] = low | high << 16;
    }
#endif
}

/// The registers of one lane that a product reads and writes.
struct ProductRegisters {
  float* sum;              ///< [4] of the 16 x 8 sum
  const std::uint32_t* a;  ///< [4] left, 16 x 16
  const std::uint32_t* b;  ///< [2] right, 16 x 8
};

template <class E>
struct IsBfloat16 {
  static constexpr bool value = false;
};
template <>
struct IsBfloat16<Bfloat16> {
  static constexpr bool value = true;
};

#if !defined(__CUDA_ARCH__)
/// mma.sync.m16n8k16 on the host. Word i of a: row lane / 4 + i % 2 * 8, columns 2 * (lane % 4) + i / 2 * 8 and the
/// next; word i of b: rows 2 * (lane % 4) + i * 8 and the next, column lane / 4.
template <class E, class Registers, class Pick>
void multiply_add_on_host(const Warp<Registers>& warp, Pick pick) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const ProductRegisters r = pick(warp.lanes[lane]);
    const int sequence = lane / 4, pair = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const auto element = [&](std::uint32_t word) { return E::widen(static_cast<std::uint16_t>(word >> 16 * half)); };
      for (int i = 0; i < 4; ++i) a[sequence + i % 2 * 8][pair + i / 2 * 8 + half] = element(r.a[i]);
      for (int i = 0; i < 2; ++i) b[pair + i * 8 + half][sequence] = element(r.b[i]);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane)
    for (int i = 0; i < 4; ++i) {
      float& sum = pick(warp.lanes[lane]).sum[i];
      for (int k = 0; k < 16; ++k) sum += a[tile_row(lane, i)][k] * b[k][tile_column(lane, i)];
    }
}
#endif

/// sum += a * b, 16 x 8 += 16 x 16 times 16 x 8, with elements E and float32 sums. An element of the sum depends on its
/// own row of a and column of b only.
template <class E, class Registers, class Pick>
ANABRANCH_HOST_DEVICE void multiply_add(const Warp<Registers>& warp, Pick pick) {
#if defined(__CUDA_ARCH__)
  const ProductRegisters r = pick(*warp.lanes);
  if constexpr (IsBfloat16<E>::value) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(r.sum[0]), "+f"(r.sum[1]), "+f"(r.sum[2]), "+f"(r.sum[3])
        : "r"(r.a[0]), "r"(r.a[1]), "r"(r.a[2]), "r"(r.a[3]), "r"(r.b[0]), "r"(r.b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(r.sum[0]), "+f"(r.sum[1]), "+f"(r.sum[2]), "+f"(r.sum[3])
        : "r"(r.a[0]), "r"(r.a[1]), "r"(r.a[2]), "r"(r.a[3]), "r"(r.b[0]), "r"(r.b[1]));
  }
#else
  multiply_add_on_host<E>(warp, pick);
#endif
}

}  // namespace anabranch::cuda
