// Formats the library's values through fmt, and draws a branch tree and the cost of passes.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/events.hpp>
#include <anabranch/decode/row_costs.hpp>
#include <anabranch/decode/statistics.hpp>

template <>
struct fmt::formatter<anabranch::Status> : fmt::formatter<const char*> {
  template <class Context>
  auto format(anabranch::Status status, Context& context) const {
    return fmt::formatter<const char*>::format(anabranch::status_name(status), context);
  }
};

template <>
struct fmt::formatter<anabranch::SequenceId> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(anabranch::SequenceId sequence, Context& context) const {
    if (sequence == anabranch::kNoSequence) return fmt::format_to(context.out(), "none");
    return fmt::format_to(context.out(), "{}.{}", sequence.index, sequence.generation);
  }
};

namespace anabranch {

/// Statistics::n_serial_passes for people. An answer that was cut may have titles whose branches were never written:
/// they cost passes and are no text yet. Serial decoding is not said to take fewer passes than such an answer did.
constexpr std::int32_t serial_passes(const Statistics& s) noexcept {
  const std::int32_t n = s.n_serial_passes();
  return s.ended_by_text || n > s.n_passes ? n : s.n_passes;
}

/// The passes of an answer, or of several, against those of serial decoding: "2.6x fewer", or that they are not fewer.
inline std::string passes_saved(std::int32_t n_serial, std::int32_t n_passes) {
  if (n_serial == n_passes) return "as many as serial";
  if (n_passes > n_serial) return "more than serial";
  const double fewer = n_passes > 0 ? static_cast<double>(n_serial) / n_passes : 0.0;
  return fewer < 1.05 ? "hardly fewer than serial" : fmt::format("{:.1f}x fewer", fewer);
}

}  // namespace anabranch

/// tokens 220 (170 sampled, 60 forced; tags and titles count there)   passes 85 (serial: 220)   2.6x fewer   7.0
/// branches a block, 97 % of the text in them
template <>
struct fmt::formatter<anabranch::Statistics> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const anabranch::Statistics& s, Context& context) const {
    const auto out = fmt::format_to(context.out(),
                                    "tokens {} ({} sampled, {} forced; tags and titles count there)   passes {} "
                                    "(serial: {})   {}   ",
                                    s.n_text(), s.n_sampled, s.n_forced, s.n_passes, anabranch::serial_passes(s),
                                    anabranch::passes_saved(anabranch::serial_passes(s), s.n_passes));
    if (!s.parallel()) return fmt::format_to(out, "no branches");
    return fmt::format_to(out, "{:.1f} branches a block, {:.0f} % of the text in them", s.branches_per_block(),
                          100 * s.branch_share());
  }
};

template <>
struct fmt::formatter<anabranch::EndReason> : fmt::formatter<const char*> {
  template <class Context>
  auto format(anabranch::EndReason reason, Context& context) const {
    return fmt::formatter<const char*>::format(anabranch::reason_name(reason), context);
  }
};

namespace anabranch::impl {

/// One line for people, without its end, whatever the text holds: `branch 2: token 17 "text"`, `trunk: forks into
/// branches 1 to 3`, `branch 2: ends, end_tag`, `trunk: joins branches 1 to 3`, `request 1: ends, end_of_text`.
inline std::string event_text(const Event& event) {
  std::string text = event.kind == Event::Kind::end
                         ? fmt::format("request {}", static_cast<std::uint64_t>(event.request))
                     : event.branch == kTrunk ? "trunk"
                                              : fmt::format("branch {}", event.branch);
  const auto branches = [&](std::size_t n) {
    return fmt::format("branches {} to {}", event.first_branch, event.first_branch + static_cast<BranchIndex>(n) - 1);
  };
  switch (event.kind) {
    case Event::Kind::token: text += fmt::format(": token {}", event.token); break;
    case Event::Kind::fork:
      text += event.titles.empty() ? fmt::format(": does not fork, {}", reason_name(event.reason))
                                   : ": forks into " + branches(event.titles.size());
      break;
    case Event::Kind::join: text += ": joins " + branches(static_cast<std::size_t>(event.n_branches)); break;
    case Event::Kind::branch_end:
    case Event::Kind::end: text += fmt::format(": ends, {}", reason_name(event.reason)); break;
  }
  if (event.text.empty()) return text;
  text += " \"";
  for (const char c : event.text)
    if (c == '\n')
      text += "\\n";
    else if (c == '\r')
      text += "\\r";
    else
      text += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  return text + "\"";
}

}  // namespace anabranch::impl

template <>
struct fmt::formatter<anabranch::Event> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const anabranch::Event& event, Context& context) const {
    return fmt::format_to(context.out(), "{}", anabranch::impl::event_text(event));
  }
};

namespace anabranch {

/// Draws the tree below `sequence`: one line of text for each sequence, with its tokens and its next position.
///
///   sequence 0.0   9 tokens, next 9
///   |- sequence 1.0   2 own tokens after 9, next 11
///   `- sequence 2.0   3 own tokens after 9, next 12
template <class Cache>
std::string draw(const Cache& cache, SequenceId sequence) {
  struct Item {
    SequenceId sequence;
    std::string indent;
    bool last;
  };
  std::string text;
  std::vector<Item> stack{{sequence, "", true}};
  while (!stack.empty()) {
    const Item item = stack.back();
    stack.pop_back();
    const bool is_top = item.sequence == sequence;
    const auto own = cache.n_tokens(item.sequence) - cache.fork_tokens(item.sequence);
    fmt::format_to(std::back_inserter(text), "{}{}sequence {}   ", item.indent,
                   is_top      ? ""
                   : item.last ? "`- "
                               : "|- ",
                   item.sequence);
    if (cache.parent(item.sequence) == kNoSequence) {
      fmt::format_to(std::back_inserter(text), "{} tokens, next {}\n", own, cache.next_position(item.sequence));
    } else {
      fmt::format_to(std::back_inserter(text), "{} own tokens after {}, next {}\n", own,
                     cache.fork_tokens(item.sequence), cache.next_position(item.sequence));
    }
    const std::string below = is_top ? "" : item.indent + (item.last ? "   " : "|  ");
    const std::vector<SequenceId> children = cache.children(item.sequence);
    for (std::size_t i = children.size(); i-- > 0;) stack.push_back({children[i], below, i + 1 == children.size()});
  }
  return text;
}

/// Draws the cost of a pass by its number of rows: a bar for each measured number, and its time over that of one row.
///
///   rows   ms at 512 keys
///      1      5.600  ####################                      1.00x
///      8     11.200  ########################################  2.00x
inline std::string draw(const RowCosts& costs, std::int32_t n_keys) {
  constexpr double kWidth = 40;
  const double one = costs.seconds(1, n_keys), most = costs.seconds(costs.rows().back(), n_keys);
  std::string text = fmt::format("rows   ms at {} keys\n", n_keys);
  for (const std::int32_t n_rows : costs.rows()) {
    const double seconds = costs.seconds(n_rows, n_keys);
    const std::string bar(static_cast<std::size_t>(kWidth * seconds / most + 0.5), '#');
    fmt::format_to(std::back_inserter(text), "{:4}  {:9.3f}  {:40}  {:.2f}x\n", n_rows, seconds * 1e3, bar,
                   seconds / one);
  }
  return text;
}

}  // namespace anabranch
