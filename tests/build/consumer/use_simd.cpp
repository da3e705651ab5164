#include <anabranch/simd.hpp>

bool use_simd();
bool use_simd() { return !anabranch::simd::in_use().empty() && anabranch::simd::levels().size() > 1; }
