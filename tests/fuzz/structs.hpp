// Structs as a caller of any version might pass them: NULL, too small, of the next version, with bytes nobody knows.
// Each lies in a block of exactly its size, so that the address sanitizer sees a byte too far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "anabranch.h"
#include "anabranch_decoder.h"
#include "check.hpp"
#include "input.hpp"

namespace fuzz {

/// The least size that the library takes: that of the struct's first version.
template <class T>
inline constexpr std::size_t kLeastSize = sizeof(T);
template <>
inline constexpr std::size_t kLeastSize<anb_markup> = offsetof(anb_markup, unique_titles);
template <>
inline constexpr std::size_t kLeastSize<anb_decoder_options> = offsetof(anb_decoder_options, draft);
template <>
inline constexpr std::size_t kLeastSize<anb_text> = offsetof(anb_text, stop_token);
template <>
inline constexpr std::size_t kLeastSize<anb_request_options> = offsetof(anb_request_options, max_parallel_branches);
template <>
inline constexpr std::size_t kLeastSize<anb_output_settings> = offsetof(anb_output_settings, spared);
template <>
inline constexpr std::size_t kLeastSize<anb_event> = offsetof(anb_event, user_data);
template <>
inline constexpr std::size_t kLeastSize<anb_request_state> = offsetof(anb_request_state, user_data);
template <>
inline constexpr std::size_t kLeastSize<anb_branch_state> = offsetof(anb_branch_state, tokens);

/// struct_size to try; that of T most of the time.
template <class T>
std::size_t some_size(Input& input) {
  if (!input.one_in(24)) return sizeof(T);
  switch (input.below(4)) {
    case 0: return sizeof(T) + 8 * static_cast<std::size_t>(1 + input.below(8));
    case 1: return sizeof(std::uint32_t) + static_cast<std::size_t>(input.byte()) % (sizeof(T) - sizeof(std::uint32_t));
    case 2: return sizeof(T) + static_cast<std::size_t>(1 + input.below(64));
    default: return sizeof(T) - 1;
  }
}

/// A block of bytes that begins with its size.
template <class T>
class Block {
 public:
  explicit Block(std::size_t size) : size_(size), bytes_(new unsigned char[size]) {
    std::memset(bytes_.get(), 0, size);
    const auto struct_size = static_cast<std::uint32_t>(size);
    std::memcpy(bytes_.get(), &struct_size, sizeof struct_size);
  }
  std::size_t size() const { return size_; }
  unsigned char* bytes() const { return bytes_.get(); }
  T* pointer() const { return reinterpret_cast<T*>(bytes_.get()); }

 private:
  std::size_t size_;
  std::unique_ptr<unsigned char[]> bytes_;
};

/// A struct that the library reads.
template <class T>
class InStruct {
 public:
  InStruct(Input& input, const T& value) : block_(some_size<T>(input)) {
    constexpr std::size_t kSize = sizeof(std::uint32_t);
    const std::size_t n = block_.size() < sizeof(T) ? block_.size() : sizeof(T);
    std::memcpy(block_.bytes() + kSize, reinterpret_cast<const unsigned char*>(&value) + kSize, n - kSize);
    if (block_.size() > sizeof(T) && input.one_in(2)) {
      block_.bytes()[block_.size() - 1] = 1;
      broken_ = true;
    }
    broken_ |= block_.size() < kLeastSize<T>;
  }
  const T* pointer() const { return block_.pointer(); }
  bool broken() const { return broken_; }  ///< must be refused

 private:
  Block<T> block_;
  bool broken_ = false;
};

/// A struct that the library writes; full of a pattern before.
template <class T>
class OutStruct {
 public:
  explicit OutStruct(Input& input) : OutStruct(some_size<T>(input), input.one_in(48)) {}
  OutStruct() : OutStruct(sizeof(T), false) {}
  T* pointer() const { return null_ ? nullptr : block_.pointer(); }
  const T& value() const { return *block_.pointer(); }
  bool broken() const { return null_ || block_.size() < kLeastSize<T>; }
  bool whole() const { return !null_ && block_.size() >= sizeof(T); }  ///< else `value` has fields that are not there
  /// Written as far as it goes, or not at all.
  void check(bool written) const {
    if (!written) {
      FUZZ_CHECK(std::memcmp(block_.bytes(), before_.bytes(), block_.size()) == 0, "a call that failed wrote");
      return;
    }
    FUZZ_CHECK(!broken(), "a struct of %zu bytes was accepted", block_.size());
    FUZZ_CHECK(std::memcmp(block_.bytes(), before_.bytes(), sizeof(std::uint32_t)) == 0, "struct_size was changed");
    for (std::size_t i = sizeof(T); i < block_.size(); ++i)
      FUZZ_CHECK(block_.bytes()[i] == 0, "byte %zu of %zu is not zero", i, block_.size());
  }

 private:
  OutStruct(std::size_t size, bool null) : block_(size), before_(size), null_(null) {
    constexpr std::size_t kSize = sizeof(std::uint32_t);
    std::memset(block_.bytes() + kSize, 0xa5, size - kSize);
    std::memset(before_.bytes() + kSize, 0xa5, size - kSize);
  }
  Block<T> block_;
  Block<T> before_;
  bool null_;
};

/// Plain values and arrays that the library writes.
template <class T>
class OutArray {
 public:
  explicit OutArray(std::size_t n) : n_(n), values_(new T[n]) { std::memset(values_.get(), 0x5a, n * sizeof(T)); }
  T* pointer() const { return values_.get(); }
  const T& operator[](std::size_t i) const { return values_[i]; }
  std::size_t size() const { return n_; }
  /// Only the first `n_written` may differ from the pattern.
  void check(std::size_t n_written) const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values_.get());
    for (std::size_t i = n_written * sizeof(T); i < n_ * sizeof(T); ++i)
      FUZZ_CHECK(bytes[i] == 0x5a, "byte %zu of an array was written; %zu elements should be", i, n_written);
  }

 private:
  std::size_t n_;
  std::unique_ptr<T[]> values_;
};

}  // namespace fuzz
