#include <anabranch/simd.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include <hwy/targets.h>

#include <anabranch/error.hpp>

namespace anabranch::simd {
namespace {

constexpr std::array kLevels{Level::scalar, Level::sse4, Level::avx2, Level::avx512_base, Level::avx512, Level::best};

std::atomic<Level> allowed{Level::best};

/// Highway's name for a level's instruction set; 0 where it is not the level that decides.
std::int64_t target(Level level) noexcept {
  switch (level) {
    case Level::scalar: return HWY_SCALAR;
    case Level::sse4: return HWY_SSE4;
    case Level::avx2: return HWY_AVX2;
    case Level::avx512_base:
    case Level::avx512: return HWY_AVX3;
    case Level::best: break;
  }
  return 0;
}

/// The instruction sets that Highway finds without a limit, but for what kernels are not compiled for.
std::int64_t supported() {
  static const std::int64_t targets = hwy::SupportedTargets() & ~std::int64_t{HWY_DISABLED_TARGETS};
  return targets;
}

/// A lower bit is a better instruction set. Highway takes its plain code when nothing else is left.
std::int64_t without_better(Level level) {
  const std::int64_t best = target(level);
  if (best == 0) return supported();
  if (level == Level::avx512) return supported();  // those better than AVX3 are AVX-512 too
  return (supported() & ~(best - 1)) | HWY_SCALAR;
}

bool cpu_has([[maybe_unused]] Extra extra) noexcept {
#if defined(__x86_64__) || defined(__i386__)
  switch (extra) {
    case Extra::avx512_vnni: return __builtin_cpu_supports("avx512vnni") != 0;
    case Extra::avx512_bf16: return __builtin_cpu_supports("avx512bf16") != 0;
  }
#endif
  return false;
}

Level from_environment() {
  const char* const value = std::getenv("ANABRANCH_SIMD");
  if (value == nullptr || *value == '\0') return Level::best;
  for (const Level level : kLevels)
    if (name(level) == value) return level;
  fail(Status::bad_argument, "ANABRANCH_SIMD is '", value,
       "'; it must be scalar, sse4, avx2, avx512_base, avx512 or best");
}

void apply(Level level) {
  const std::int64_t targets = without_better(level);
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(targets);
  allowed.store(level);
}

}  // namespace

void prepare() {
  [[maybe_unused]] static const bool once = [] {
    apply(from_environment());
    return true;
  }();
}

void limit(Level level) {
  prepare();
  apply(level);
}

std::vector<Level> levels() {
  std::vector<Level> out{Level::scalar};
  for (const Level level : {Level::sse4, Level::avx2, Level::avx512_base})
    if ((supported() & target(level)) != 0) out.push_back(level);
  if (out.back() == Level::avx512_base && (cpu_has(Extra::avx512_vnni) || cpu_has(Extra::avx512_bf16)))
    out.push_back(Level::avx512);
  if (out.size() == 1) out.push_back(Level::best);
  return out;
}

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::scalar: return "scalar";
    case Level::sse4: return "sse4";
    case Level::avx2: return "avx2";
    case Level::avx512_base: return "avx512_base";
    case Level::avx512: return "avx512";
    case Level::best: return "best";
  }
  return "unknown";
}

std::string_view in_use() {
  prepare();
  const std::int64_t targets = hwy::SupportedTargets();
  const std::int64_t best = targets & -targets;
  if (best > HWY_AVX3 || !HWY_ARCH_X86) return hwy::TargetName(best);
  if (allows(Extra::avx512_bf16)) return allows(Extra::avx512_vnni) ? "AVX3 + VNNI + BF16" : "AVX3 + BF16";
  return allows(Extra::avx512_vnni) ? "AVX3 + VNNI" : "AVX3";
}

bool allows(Extra extra) {
  prepare();
  return allowed.load() >= Level::avx512 && cpu_has(extra);
}

}  // namespace anabranch::simd
