// PrefixFile: what a prefix cache keeps, saved to disk and restored, so that a restart is warm.
//
// Saved are the tree and, through the host's callbacks, the bytes of K and V. Nothing in the file depends on pages or
// slots: it can be restored into a cache of another size, also one that is in use. Bytes may come from anybody: a file
// that is damaged, of another version, or of another model is refused by name, and nothing has changed then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include <anabranch/cache/kv_bytes.hpp>
#include <anabranch/cache/prefix_cache.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

namespace impl {
struct SavedHistory;
}

/// Gets the next bytes of a file.
using ByteSink = std::function<void(std::span<const std::byte>)>;
/// Fills in the next bytes of a file, and returns how many there were; fewer than asked for only at its end.
using ByteSource = std::function<std::size_t(std::span<std::byte>)>;

/// Counts of a save or a restore.
struct PrefixFileCounts {
  std::int32_t n_histories = 0;
  std::int32_t n_skipped = 0;  ///< histories that did not fit
  std::int64_t n_tokens = 0;   ///< whose K and V were copied; shared ones once
};

template <class Cache = KvCache>
class PrefixFile {
 public:
  /// Both arguments must outlive it. Throws bad_argument for no bytes per slot.
  PrefixFile(PrefixCache<Cache>& prefixes, const KvBytes& bytes);

  /// Saves the histories that were used last, as long as they have at most `max_tokens` tokens together. Throws what
  /// the callbacks throw.
  PrefixFileCounts save(const ByteSink& sink, std::int64_t max_tokens = kUnlimited) const;
  /// Keeps the histories of a file beside what is kept already; those for which pages or sequences are short are
  /// skipped. Throws bad_snapshot for a file that cannot be taken, wrong_state while a step is open, and what the
  /// callbacks throw: nothing is kept then.
  PrefixFileCounts restore(const ByteSource& source);

 private:
  struct Structure;
  struct Restored;
  Structure structure_to_save(std::int64_t max_tokens, PrefixFileCounts& counts) const;
  void save_kv(const Structure& structure, const ByteSink& sink) const;
  Structure read_structure(const ByteSource& source) const;
  void insert_nodes(const Structure& structure, Restored& restored);
  SequenceId compute(PrefixIndex node, SequenceId shared, std::int32_t n_shared);
  void append_runs(typename Cache::Step& step, SequenceId sequence, PrefixIndex node, std::int32_t n_done);
  bool fits(PrefixIndex node) const;
  void restore_kv(const Structure& structure, const ByteSource& source, Restored& restored, PrefixFileCounts& counts);
  PrefixIndex checked_node(const impl::SavedHistory& history, const Structure& structure,
                           const Restored& restored) const;
  /// Those of one slot. `i` counts from 0.
  std::span<const std::byte> bytes_of(std::span<const std::byte> all, std::int32_t i) const {
    const auto n = static_cast<std::size_t>(bytes_->bytes_per_slot);
    return all.subspan(impl::offset_of(i) * n, n);
  }
  template <class Visit>
  void for_each_slot_run(SequenceId sequence, std::int32_t n_shared, Visit&& visit) const;
  void give_back(Restored& restored) noexcept;

  PrefixCache<Cache>* prefixes_;
  const KvBytes* bytes_;
};

template <class Cache>
PrefixFile(PrefixCache<Cache>&, const KvBytes&) -> PrefixFile<Cache>;

}  // namespace anabranch

#include <anabranch/cache/impl/prefix_file.hpp>
