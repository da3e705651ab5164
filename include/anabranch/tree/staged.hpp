// The appends of an open step, before they have slots.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/pool/lazily.hpp>
#include <anabranch/tree/host_op.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Tokens appended by one call.
struct StagedPiece {
  std::int32_t offset = 0;  ///< of its first token inside the segment
  std::int32_t count = 0;
  std::int32_t first_token = 0;  ///< in Staged::tokens; kNone: unknown tokens
  std::int32_t next = kNone;     ///< next piece of the same segment
  Logits logits = Logits::none;
};

/// A segment that grows in the open step.
struct StagedSegment {
  std::int32_t segment = kNone;
  std::uint64_t ordinal = 0;      ///< the segment's: tells a freed and reused index
  std::int32_t base = kNone;      ///< history before the segment; one reference
  std::int32_t sequence = kNone;  ///< who appended
  std::int32_t first_piece = kNone;
  std::int32_t last_piece = kNone;
};

/// Logits wanted by request_logits: of token `offset` of a segment, for a sequence.
struct StagedOutput {
  std::int32_t sequence = kNone;
  std::int32_t segment = kNone;
  std::uint64_t ordinal = 0;
  std::int32_t offset = 0;
};

/// `Lazy` only delays what including this header costs; see pool/lazily.hpp.
template <class Lazy>
struct Staged {
  explicit Staged(std::pmr::memory_resource* memory)
      : tokens(memory),
        pieces(memory),
        segments(memory),
        extra_outputs(memory),
        avoided_pages(memory),
        ops_before(memory),
        ops_after(memory) {}
  void clear() noexcept {
    tokens.clear();
    pieces.clear();
    segments.clear();
    extra_outputs.clear();
    avoided_pages.clear();
    ops_before.clear();
    ops_after.clear();
  }
  /// The segment's tokens of this step from `length` on are taken back.
  void cut(std::int32_t entry, std::int32_t length) noexcept {
    std::int32_t piece = segments[static_cast<std::size_t>(entry)].first_piece;
    while (piece != kNone) {
      StagedPiece& p = pieces[static_cast<std::size_t>(piece)];
      if (p.offset + p.count > length) {
        p.count = p.offset < length ? length - p.offset : 0;
        if (p.logits == Logits::last) p.logits = Logits::none;  // the token that it meant is gone
      }
      piece = p.next;
    }
    for (StagedOutput& output : extra_outputs)
      if (output.ordinal == segments[static_cast<std::size_t>(entry)].ordinal && output.offset >= length)
        output.ordinal = 0;  // names no segment
  }
  impl::Lazily<std::pmr::vector<TokenId>, Lazy> tokens;
  impl::Lazily<std::pmr::vector<StagedPiece>, Lazy> pieces;
  impl::Lazily<std::pmr::vector<StagedSegment>, Lazy> segments;
  impl::Lazily<std::pmr::vector<StagedOutput>, Lazy> extra_outputs;
  impl::Lazily<std::pmr::vector<std::int32_t>, Lazy> avoided_pages;  ///< see Page::avoid
  impl::Lazily<std::pmr::vector<HostOp>, Lazy> ops_before;
  impl::Lazily<std::pmr::vector<HostOp>, Lazy> ops_after;
};

}  // namespace anabranch
