// Drafts of the next tokens from the text so far: prompt lookup.
//
// The tokens that followed the last few tokens at an earlier place in the text are likely to follow again: where text
// is quoted, corrected or summarised it often does. No second model is needed. (Saxena 2023, "Prompt Lookup Decoding",
// github.com/apoorvumang/prompt-lookup-decoding; there one draft, here several that differ.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/types.hpp>

namespace loop {

struct DraftOptions {
  std::int32_t n_drafts = 3;                  ///< at most so many, from the latest place of the longest match backwards
  std::int32_t length = 10;                   ///< tokens of a draft; fewer where the text ends
  std::int32_t max_match = 4;                 ///< tokens that have to be alike: first this many,
  std::int32_t min_match = 1;                 ///< then fewer, down to these
  std::vector<anabranch::TokenId> ends = {};  ///< no draft reaches one of these: ends of text
};

/// Drafts in ascending order; none is empty, twice there, or the beginning of another.
std::vector<std::vector<anabranch::TokenId>> look_up(std::span<const anabranch::TokenId> text,
                                                     const DraftOptions& options);

}  // namespace loop
