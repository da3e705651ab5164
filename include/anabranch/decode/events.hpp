// Event: the decoder reports one for each token, fork, branch end, join and end of a request.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <anabranch/decode/request.hpp>
#include <anabranch/decode/statistics.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch {

/// Why a branch or a request is over.
enum class EndReason : std::uint8_t {
  none,         ///< it is not
  end_tag,      ///< the markup ended the branch
  end_of_text,  ///< the model sampled an end-of-text token
  finished,     ///< the markup finished the answer
  limit,        ///< it has sampled as many tokens as it may; in a fork event: deeper than it may fork
  range,        ///< no position left: a reserved range or the model's maximum
  stop,         ///< a stop string
  cancelled,    ///< by the caller; its history is gone
  no_room,      ///< it can never fit into the pool
  malformed,    ///< the markup asked for something impossible: to go on after a join without a forced token
  lost,         ///< others dropped a sequence of it, or changed its prefix before its first pass; its history is gone
};

constexpr const char* reason_name(EndReason reason) noexcept {
  switch (reason) {
    case EndReason::none: return "none";
    case EndReason::end_tag: return "end_tag";
    case EndReason::end_of_text: return "end_of_text";
    case EndReason::finished: return "finished";
    case EndReason::limit: return "limit";
    case EndReason::range: return "range";
    case EndReason::stop: return "stop";
    case EndReason::cancelled: return "cancelled";
    case EndReason::no_room: return "no_room";
    case EndReason::malformed: return "malformed";
    case EndReason::lost: return "lost";
  }
  return "unknown";
}

struct TokenLogProbability {
  TokenId token = kUnknownToken;
  float log_probability = 0.0f;
};

enum class Source : std::uint8_t { sampled, forced };

struct Event {
  enum class Kind : std::uint8_t {
    token,       ///< a token of the answer; tags and titles are reported without text
    fork,        ///< `branch` forked into [first_branch, first_branch + titles.size()); none: `reason` says why
    branch_end,  ///< `branch` is over: `reason`
    join,        ///< `branch` goes on after its branches [first_branch, first_branch + n_branches)
    end,         ///< the request is over: `reason`, `statistics`
  };
  Kind kind = Kind::token;
  RequestId request = kNoRequest;
  std::uint64_t user_data = 0;  ///< the request's
  BranchIndex branch = kTrunk;
  std::int32_t pass = 0;  ///< the request's pass that brought it, from 1; 0: none had run
  /// Text of the branch that became printable: whole UTF-8 characters, never part of a stop string that may still come.
  /// A fork, branch end or end carries the text that was held back until then.
  std::string text;

  TokenId token = kUnknownToken;
  markup::Role role = markup::Role::text;
  Source source = Source::sampled;
  float log_probability = std::numeric_limits<float>::quiet_NaN();  ///< natural log, of the unchanged distribution
  std::vector<TokenLogProbability> top;                             ///< likeliest first

  BranchIndex first_branch = kNone;
  std::int32_t n_branches = 0;
  std::vector<std::string> titles;

  EndReason reason = EndReason::none;
  Statistics statistics;
};

}  // namespace anabranch
