// What the tests of the llama.cpp host share: a model and a tree on it, the seq_ids of a context, and errors.
#pragma once

#include "catch.hpp"

#include <random>
#include <string>
#include <vector>

#include <llama.h>

#include <anabranch/anabranch.hpp>
#include <anabranch/llama/host.hpp>

#include "gguf.hpp"
#include "tree.hpp"

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

// What the cases call by its short name.
namespace ab = anabranch;
using ab::SequenceId;
using ab::Status;
using ab::llama::GgufModel;
using ab::llama::Host;
using ab::test::ends;
using ab::test::error_of;
using ab::test::kLongest;
using ab::test::says;
using ab::test::shallow_model;
using ab::test::Tree;
using ab::test::words;
using Tokens = std::vector<ab::TokenId>;
