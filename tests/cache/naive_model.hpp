// The cache as one would write it without caring for cost: every sequence holds a full copy of everything it sees.
//
// It knows nothing of pages, segments or sharing, only the rules of positions and of what a sequence sees. The
// model-based test drives it side by side with the real cache. A step is a copy of the whole model; abort throws the
// copy away.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <anabranch/anabranch.hpp>

namespace anabranch::test {

struct NaiveToken {
  std::uint64_t id = 0;  ///< never used twice: stands for the token's K and V
  Position position = 0;
  std::int32_t depth = 0;  ///< depth of the sequence that wrote it
};

/// A piece of history that knows how far a sequence had come before it: a run of own tokens, or a joined branch.
struct NaivePiece {
  Position next_before = 0;
  std::vector<NaiveToken> tokens;  ///< own tokens; empty for a joined branch
  // A joined branch:
  std::vector<NaivePiece> inner;
  Positions::Kind rule = Positions::Kind::sequential;
  Position inner_start = 0;
  Position inner_next = 0;

  bool is_joined() const { return !inner.empty(); }
  std::int32_t n_tokens() const;
};

inline std::int32_t count_tokens(const std::vector<NaivePiece>& pieces) {
  std::int32_t n = 0;
  for (const NaivePiece& piece : pieces) n += piece.n_tokens();
  return n;
}

inline std::int32_t NaivePiece::n_tokens() const {
  return is_joined() ? count_tokens(inner) : static_cast<std::int32_t>(tokens.size());
}

inline void flatten(const std::vector<NaivePiece>& pieces, std::vector<NaiveToken>& out) {
  for (const NaivePiece& piece : pieces) {
    if (piece.is_joined())
      flatten(piece.inner, out);
    else
      out.insert(out.end(), piece.tokens.begin(), piece.tokens.end());
  }
}

/// Where a sequence goes on that has joined a branch which started at `start` and had come to `child_next`.
inline Position next_after_join(Positions::Kind rule, Position next, Position start, Position child_next) {
  if (rule == Positions::Kind::sequential) return next + (child_next - start);
  if (rule == Positions::Kind::longest) return std::max(next, child_next);
  return next;  // reserved: the fork has moved it already; given: the caller says
}

/// Next position of the sequence just before the first token of `piece`. A branch may have moved on before its first
/// token (it reserved positions for children of its own); then the sequence that has joined it has, too.
inline Position next_before(const NaivePiece& piece) {
  if (!piece.is_joined()) return piece.next_before;
  return next_after_join(piece.rule, piece.next_before, piece.inner_start, next_before(piece.inner.front()));
}

/// Next position of a sequence that keeps the first n tokens of `pieces`; `next` is that of the whole.
inline Position next_at(const std::vector<NaivePiece>& pieces, std::int32_t n, Position next) {
  for (const NaivePiece& piece : pieces) {
    if (n == 0) return next_before(piece);
    const std::int32_t length = piece.n_tokens();
    if (n < length && !piece.is_joined()) return piece.tokens[static_cast<std::size_t>(n) - 1].position + 1;
    if (n < length)
      return next_after_join(piece.rule, piece.next_before, piece.inner_start,
                             next_at(piece.inner, n, piece.inner_next));
    n -= length;
  }
  return next;
}

/// Keeps the first n tokens.
inline void truncate(std::vector<NaivePiece>& pieces, std::int32_t n) {
  std::size_t kept = 0;
  for (; kept < pieces.size() && n > 0; ++kept) {
    NaivePiece& piece = pieces[kept];
    const std::int32_t length = piece.n_tokens();
    if (n < length && piece.is_joined()) {
      piece.inner_next = next_at(piece.inner, n, piece.inner_next);
      truncate(piece.inner, n);
    } else if (n < length) {
      piece.tokens.resize(static_cast<std::size_t>(n));
    }
    n -= std::min(n, length);
  }
  pieces.resize(kept);
}

struct NaiveSequence {
  SequenceId parent = kNoSequence;
  std::vector<SequenceId> children;  ///< in the order they were forked
  std::vector<NaivePiece> pieces;
  std::size_t n_shared_pieces = 0;  ///< leading pieces that came from the parent
  std::int32_t fork_tokens = 0;     ///< tokens in them
  Positions::Kind rule = Positions::Kind::sequential;
  Position start = 0;
  Position next = 0;
  Position limit = kUnlimited;
  std::int32_t depth = 0;
  std::int32_t hold = 0;

  std::int32_t n_tokens() const { return count_tokens(pieces); }
  std::vector<NaiveToken> tokens() const {
    std::vector<NaiveToken> out;
    flatten(pieces, out);
    return out;
  }
};

/// All sequences. REQUIRES for every call: what the real cache requires; the callers look before they call.
class NaiveModel {
 public:
  std::map<SequenceId, NaiveSequence> sequences;

  NaiveSequence& at(SequenceId id) { return sequences.at(id); }
  const NaiveSequence& at(SequenceId id) const { return sequences.at(id); }

  void create(SequenceId id, Position first, Position limit) {
    NaiveSequence sequence;
    sequence.start = sequence.next = first;
    sequence.limit = limit;
    sequences.emplace(id, std::move(sequence));
  }

  void append(SequenceId id, std::uint64_t token) {
    NaiveSequence& sequence = at(id);
    const bool goes_on = sequence.pieces.size() > sequence.n_shared_pieces && !sequence.pieces.back().is_joined() &&
                         sequence.pieces.back().tokens.back().position + 1 == sequence.next;
    if (!goes_on) {
      sequence.pieces.emplace_back();
      sequence.pieces.back().next_before = sequence.next;
    }
    sequence.pieces.back().tokens.push_back({token, sequence.next, sequence.depth});
    ++sequence.next;
  }

  void fork(SequenceId id, const std::vector<SequenceId>& kids, const Positions& policy,
            const std::vector<Position>& starts) {
    NaiveSequence& parent = at(id);
    const Position p = parent.next;
    for (std::size_t k = 0; k < kids.size(); ++k) {
      NaiveSequence kid;
      kid.parent = id;
      kid.pieces = parent.pieces;
      kid.n_shared_pieces = parent.pieces.size();
      kid.fork_tokens = parent.n_tokens();
      kid.rule = policy.kind;
      kid.depth = parent.depth + 1;
      kid.limit = parent.limit;
      kid.start = kid.next = p;
      if (policy.kind == Positions::Kind::given) kid.start = kid.next = starts[k];
      if (policy.kind == Positions::Kind::reserved) {
        kid.start = kid.next = p + static_cast<Position>(k) * policy.extent;
        kid.limit = std::min(kid.limit, kid.start + policy.extent);
      }
      sequences.emplace(kids[k], std::move(kid));
      at(id).children.push_back(kids[k]);
    }
    if (policy.kind == Positions::Kind::reserved) at(id).next = p + static_cast<Position>(kids.size()) * policy.extent;
  }

  /// Where `id` would go on after the join.
  Position next_after(SequenceId id, const std::vector<SequenceId>& kids, Position given) const {
    Position next = at(id).next;
    for (const SequenceId kid : kids) next = next_after_join(at(kid).rule, next, at(kid).start, at(kid).next);
    return given == kNone ? next : given;
  }

  void join(SequenceId id, const std::vector<SequenceId>& kids, Position given) {
    const Position after = next_after(id, kids, given);
    NaiveSequence& parent = at(id);
    for (const SequenceId kid : kids) {
      NaiveSequence& child = at(kid);
      NaivePiece piece;
      piece.next_before = parent.next;
      piece.rule = child.rule;
      piece.inner.assign(child.pieces.begin() + static_cast<std::ptrdiff_t>(child.n_shared_pieces), child.pieces.end());
      piece.inner_start = child.start;
      piece.inner_next = child.next;
      parent.next = next_after_join(child.rule, parent.next, child.start, child.next);
      if (piece.is_joined()) parent.pieces.push_back(std::move(piece));
      sequences.erase(kid);
      std::erase(parent.children, kid);
    }
    parent.next = after;
  }

  /// Fewest tokens that a rewind may keep.
  std::int32_t rewind_floor(SequenceId id) const {
    std::int32_t floor = at(id).parent == kNoSequence ? 0 : at(id).fork_tokens;
    for (const SequenceId kid : at(id).children) floor = std::max(floor, at(kid).fork_tokens);
    return floor;
  }

  void rewind(SequenceId id, std::int32_t n) {
    NaiveSequence& sequence = at(id);
    if (n == sequence.n_tokens()) return;
    sequence.next = next_at(sequence.pieces, n, sequence.next);
    truncate(sequence.pieces, n);
    sequence.n_shared_pieces = std::min(sequence.n_shared_pieces, sequence.pieces.size());
  }

  void adopt(SequenceId id, SequenceId kid) {
    NaiveSequence child = at(kid);
    const std::vector<SequenceId> siblings = at(id).children;
    for (const SequenceId other : siblings)
      if (other != kid) drop(other);
    NaiveSequence& parent = at(id);
    parent.pieces = std::move(child.pieces);
    parent.next = child.next;
    parent.children = child.children;
    for (const SequenceId grandchild : child.children) at(grandchild).parent = id;
    sequences.erase(kid);
    for (const SequenceId grandchild : child.children) rise(grandchild, at(id).depth + 1);
  }

  void drop(SequenceId id) {
    const std::vector<SequenceId> kids = at(id).children;
    for (const SequenceId kid : kids) drop(kid);
    if (const SequenceId parent = at(id).parent; parent != kNoSequence) std::erase(at(parent).children, id);
    sequences.erase(id);
  }

  void detach(SequenceId id) {
    std::erase(at(at(id).parent).children, id);
    at(id).parent = kNoSequence;
    rise(id, 0);
  }

 private:
  void rise(SequenceId id, std::int32_t depth) {
    at(id).depth = depth;
    for (const SequenceId kid : at(id).children) rise(kid, depth + 1);
  }
};

}  // namespace anabranch::test
