// Checks that several tests of the llama.cpp host share: the seq_ids of a context, and errors.
#pragma once

#include "catch.hpp"

#include <string>
#include <vector>

#include <llama.h>

#include <anabranch/anabranch.hpp>

namespace anabranch::test {

/// Last position of each seq_id of a context, -1 for an empty one.
inline std::vector<Position> ends(llama_context* context) {
  std::vector<Position> all;
  for (std::uint32_t s = 0; s < llama_n_seq_max(context); ++s)
    all.push_back(llama_memory_seq_pos_max(llama_get_memory(context), static_cast<llama_seq_id>(s)));
  return all;
}

template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  return {Status::ok, ""};
}

inline bool says(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

}  // namespace anabranch::test
