// The version of these headers, and the least C++ that they need.
//
// Every header of the library includes this one before anything of its own, so that a compiler in an older mode says
// one sentence and stops.
#pragma once

/// The numbers of a release: MAJOR.MINOR.PATCH. CHANGELOG.md says which of them may break callers.
#define ANABRANCH_VERSION_MAJOR 0
#define ANABRANCH_VERSION_MINOR 1
#define ANABRANCH_VERSION_PATCH 0

/// One number that grows with the version: `#if ANABRANCH_VERSION >= ANABRANCH_MAKE_VERSION(0, 2, 0)`.
#define ANABRANCH_MAKE_VERSION(major, minor, patch) ((major)*10000 + (minor)*100 + (patch))
#define ANABRANCH_VERSION \
  ANABRANCH_MAKE_VERSION(ANABRANCH_VERSION_MAJOR, ANABRANCH_VERSION_MINOR, ANABRANCH_VERSION_PATCH)

#if defined(_MSVC_LANG)
#define ANABRANCH_CPLUSPLUS _MSVC_LANG
#else
#define ANABRANCH_CPLUSPLUS __cplusplus
#endif
#if ANABRANCH_CPLUSPLUS <= 201703L
#error "Anabranch needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(... cxx_std_20))"
#include <needs_cpp20>  // there is no such file: a compiler goes on after #error, but not after this
#endif
#undef ANABRANCH_CPLUSPLUS
