// The appends of an open step, before they have slots.
//
// A segment that grows has one entry; each append adds a piece to it. Nothing here is undone one by one: an abort
// clears it all.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/pool/page_size.hpp>
#include <anabranch/tree/segment.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

using PieceIndex = Index<struct StagedPiece>;
using StagedOutputIndex = Index<struct StagedOutput>;

/// The tokens of one append.
struct StagedPiece {
  std::int32_t offset = 0;  ///< of its first token inside the segment
  std::int32_t count = 0;
  Logits logits = Logits::none;
  bool known = false;            ///< its tokens are given; else the host fills them in on its device
  std::int32_t first_token = 0;  ///< where the given ones are; see Staged::tokens_of
  PieceIndex next = {};          ///< next piece of the same segment
};

/// A segment that grows in the open step.
struct StagedSegment {
  SegmentIndex segment;
  std::uint64_t ordinal = 0;  ///< the segment's: tells a freed and reused index
  NodeIndex base;             ///< history before the segment; one reference
  SequenceIndex sequence;     ///< who appended
  PieceIndex first_piece = {};
  PieceIndex last_piece = {};
  StagedOutputIndex last_output = {};  ///< wanted of its tokens
};

/// Logits wanted by request_logits: of token `offset` of a segment, for a sequence.
struct StagedOutput {
  SequenceIndex sequence;
  SegmentIndex segment;
  std::uint64_t ordinal = 0;  ///< the segment's; 0 once the token is taken back
  std::int32_t offset = 0;
  StagedOutputIndex before = {};  ///< the one before it of the same segment
};

/// Takes PageSize as its owner does.
template <PageSizeChoice PageSize>
class Staged {
 public:
  explicit Staged(std::pmr::memory_resource* memory)
      : tokens_(memory), pieces_(memory), segments_(memory), outputs_(memory) {}

  const IndexedVector<StagedSegment, StagedIndex>& segments() const noexcept { return segments_; }
  const IndexedVector<StagedOutput, StagedOutputIndex>& outputs() const noexcept { return outputs_; }
  StagedSegment& operator[](StagedIndex entry) noexcept { return segments_[entry]; }
  const StagedPiece& operator[](PieceIndex piece) const noexcept { return pieces_[piece]; }
  /// The given tokens from a piece's first one on. REQUIRES: piece.known.
  std::span<const TokenId> tokens_of(const StagedPiece& piece) const noexcept {
    return {tokens_.begin() + piece.first_token, tokens_.end()};
  }

  void reserve_segment() { segments_.reserve_more(1); }
  /// REQUIRES: reserve_segment, when this must not throw.
  StagedIndex add_segment(const StagedSegment& entry) { return segments_.push_back(entry); }
  void reserve_piece(std::size_t n_tokens) {
    impl::reserve_more(tokens_, n_tokens);
    pieces_.reserve_more(1);
  }
  /// Adds `piece` to a segment, with its tokens when they are given. REQUIRES: reserve_piece, when this must not throw.
  void add_piece(StagedIndex entry, StagedPiece piece, std::span<const TokenId> tokens) {
    StagedSegment& s = segments_[entry];
    piece.known = !tokens.empty();
    piece.first_token = static_cast<std::int32_t>(tokens_.size());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    const PieceIndex index = pieces_.push_back(piece);
    (s.last_piece == kNoIndex ? s.first_piece : pieces_[s.last_piece].next) = index;
    s.last_piece = index;
  }
  /// Adds an output wanted of a token of the entry's segment.
  void add_output(StagedIndex entry, StagedOutput output) {
    output.before = segments_[entry].last_output;
    segments_[entry].last_output = outputs_.push_back(output);
  }

  /// The segment's tokens of this step from `length` on are taken back. O(pieces and wanted outputs of the segment).
  void cut(StagedIndex entry, std::int32_t length) noexcept {
    for (PieceIndex i = segments_[entry].first_piece; i != kNoIndex; i = pieces_[i].next) {
      StagedPiece& p = pieces_[i];
      if (p.offset + p.count <= length) continue;
      p.count = p.offset < length ? length - p.offset : 0;
      if (p.logits == Logits::last) p.logits = Logits::none;  // the token that it meant is gone
    }
    for (StagedOutputIndex i = segments_[entry].last_output; i != kNoIndex; i = outputs_[i].before)
      if (outputs_[i].offset >= length) outputs_[i].ordinal = 0;
  }
  void clear() noexcept {
    tokens_.clear();
    pieces_.clear();
    segments_.clear();
    outputs_.clear();
  }

 private:
  impl::MemoryVector<TokenId> tokens_;
  IndexedVector<StagedPiece, PieceIndex> pieces_;
  IndexedVector<StagedSegment, StagedIndex> segments_;
  IndexedVector<StagedOutput, StagedOutputIndex> outputs_;
};

}  // namespace anabranch
