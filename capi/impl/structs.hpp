// Structs with a size: read whole, written as far as the caller's reach.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include <anabranch/error.hpp>

#include "anabranch_decoder.h"
#include "guard.hpp"

namespace anabranch::capi {

/// Throws bad_argument for a struct_size below `least`, or bytes beyond `known` that are not zero.
void check_size(const void* bytes, std::uint32_t size, std::size_t least, std::size_t known, const char* name);

/// The size that a struct had in the first version, below which no caller can be. One that grows gets a specialisation
/// with the size it had.
template <class T>
inline constexpr std::size_t kFirstSize = sizeof(T);
template <>
inline constexpr std::size_t kFirstSize<anb_text> = offsetof(anb_text, stop_token);
template <>
inline constexpr std::size_t kFirstSize<anb_markup> = offsetof(anb_markup, unique_titles);
template <>
inline constexpr std::size_t kFirstSize<anb_decoder_options> = offsetof(anb_decoder_options, draft);
template <>
inline constexpr std::size_t kFirstSize<anb_request_options> = offsetof(anb_request_options, max_parallel_branches);
template <>
inline constexpr std::size_t kFirstSize<anb_output_settings> = offsetof(anb_output_settings, spared);
template <>
inline constexpr std::size_t kFirstSize<anb_event> = offsetof(anb_event, user_data);
template <>
inline constexpr std::size_t kFirstSize<anb_request_state> = offsetof(anb_request_state, user_data);
template <>
inline constexpr std::size_t kFirstSize<anb_branch_state> = offsetof(anb_branch_state, tokens);

/// The caller's options, with defaults where the caller's struct ends; null: the defaults.
template <class T>
T read_struct(const T* from, const T& defaults, const char* name) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (from == nullptr) return defaults;
  std::uint32_t size = 0;
  std::memcpy(&size, from, sizeof size);
  check_size(from, size, kFirstSize<T>, sizeof(T), name);
  T result = defaults;
  std::memcpy(static_cast<void*>(&result), from, size < sizeof(T) ? size : sizeof(T));
  return result;
}

/// Throws bad_argument for an out struct that is null or has no proper size.
template <class T>
void check_out(const T* to, const char* name) {
  need(to, name);
  std::uint32_t size = 0;
  std::memcpy(&size, to, sizeof size);
  if (size < kFirstSize<T>) check_size(to, size, kFirstSize<T>, sizeof(T), name);
}

/// Writes `from` into the caller's struct, which has been checked: no more than it holds, zeros beyond what is known.
template <class T>
void write_struct(T* to, T from) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::uint32_t size = 0;
  std::memcpy(&size, to, sizeof size);
  std::memcpy(static_cast<void*>(&from), &size, sizeof size);
  std::memcpy(static_cast<void*>(to), &from, size < sizeof(T) ? size : sizeof(T));
  if (size > sizeof(T)) std::memset(reinterpret_cast<char*>(to) + sizeof(T), 0, size - sizeof(T));
}

/// Sets `size` bytes to what `from` holds, zeros beyond; nothing for null or a size without struct_size.
template <class T>
void init_struct(T* to, std::size_t size, T from) noexcept {
  if (to == nullptr || size < sizeof(std::uint32_t) || size > 0xffffffffu) return;
  const auto struct_size = static_cast<std::uint32_t>(size);
  std::memcpy(static_cast<void*>(to), &struct_size, sizeof struct_size);
  write_struct(to, from);
}

}  // namespace anabranch::capi
