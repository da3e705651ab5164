// llama.cpp as a host: step plans become llama_batch'es and host operations on its unified KV cache.
//
//   KvCache cache(llama::cache_options(context));
//   llama::Host host(context, cache);                     // a Model of the decoder
//   auto plan = decoder.plan();
//   decoder.commit(host(*plan));                          // or abort
//   host.committed();                                     // or aborted()
//
// One llama.cpp sequence per sequence. A fork is a seq_cp of what llama.cpp holds already, and further seq_id on the
// rows of the same pass; a join copies the branches' tokens into the parent's llama.cpp sequence. llama.cpp refuses a
// batch with both a branch's row and a row that sees it after a join, so such a plan becomes two llama_decode calls, or
// more. Sequences of llama.cpp that are there already are only appended to; whatever else happens to one happens to a
// copy under a fresh id, so that `aborted` and a failure halfway undo everything. Removals reach llama.cpp in
// `committed`.
//
// Rows of a sequence must have consecutive positions there, so of the position policies only `longest` works
// throughout. A plan is checked token by token against what llama.cpp would show its rows; one that differs is refused.
//
// Every step with rows, forks, joins, rewinds or adopts must come through here. Sequences that end in other steps are
// noticed. One thread at a time; the context and the cache must outlive the host, which clears its llama.cpp sequences
// at its end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <anabranch/cache/options.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/plan/step_plan.hpp>

struct llama_context;

namespace anabranch::llama {

struct HostOptions {
  std::int32_t first_seq_id = 0;  ///< lowest llama.cpp sequence id to use
  std::int32_t n_seq_ids = 0;     ///< how many; 0: all that the context has from there on
};

struct HostStatistics {
  std::int64_t n_passes = 0;    ///< plans that ran
  std::int64_t n_decodes = 0;   ///< calls of llama_decode that succeeded
  std::int64_t n_copies = 0;    ///< calls of llama_memory_seq_cp
  std::int64_t n_removals = 0;  ///< calls of llama_memory_seq_rm
  double planning_seconds = 0;  ///< spent on turning plans into batches, llama.cpp not included
  double seq_op_seconds = 0;    ///< spent in the copies and removals
  double decode_seconds = 0;    ///< spent in llama_decode
};

class Host {
 public:
  /// `cache` tells which sequences are alive. Throws bad_argument (null context, one that is not unified, seq_id that
  /// it lacks or that are not empty) or unsupported (a model without a plain KV cache).
  template <class Cache>
  requires requires(const Cache& cache, SequenceId sequence) { cache.slots_of(sequence); }
  Host(llama_context* context, const Cache& cache, const HostOptions& options = {})
      : Host(context, read_sequences_of(cache), options) {}
  /// The same with any cache. `read_sequence` gives the tokens that a sequence sees, the open step included, and their
  /// slots if a place for them is given; kNone: the sequence is not alive. It must not throw.
  using ReadSequence = std::function<std::int32_t(SequenceId sequence, std::vector<Slot>* slots)>;
  Host(llama_context* context, ReadSequence read_sequence, const HostOptions& options = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  /// Runs a pass; the logits [n_outputs, vocabulary] are valid until the next call. When it throws, llama.cpp is as it
  /// was before, and the step can be aborted (no need to say so here):
  ///   not_exact      a position jump, or anything else that llama.cpp cannot express; the text says where
  ///   no_room        llama_decode found no room in its cache: make some, and plan again
  ///   limit_reached  all seq_id are in use
  ///   bad_argument   a token that is unknown or outside the vocabulary
  ///   wrong_state    the pass before was neither committed nor aborted
  ///   internal       llama_decode failed otherwise
  LogitsView operator()(const StepPlan& plan);
  /// The step of the last pass was committed. To be called before another step begins.
  void committed() noexcept;
  /// It was aborted.
  void aborted() noexcept;

  std::int32_t seq_id_of(
      SequenceId sequence) const noexcept;       ///< llama.cpp's id; kNone: the sequence has no tokens there
  std::int32_t n_seq_ids() const noexcept;       ///< ids that it may use
  std::int32_t n_used_seq_ids() const noexcept;  ///< ids in use now
  const HostStatistics& statistics() const noexcept;

 private:
  template <class Cache>
  static ReadSequence read_sequences_of(const Cache& cache) {
    return [&cache](SequenceId sequence, std::vector<Slot>* slots) {
      if (!cache.alive(sequence)) return kNone;
      if (slots != nullptr) *slots = cache.slots_of(sequence);
      return cache.n_tokens(sequence);
    };
  }
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Options of a cache that never has more tokens or sequences than the context can take: as many slots as it has cells,
/// and half as many sequences as it has seq_id (a sequence that is rewound, or joined late, needs two until the
/// commit).
CacheOptions cache_options(const llama_context* context);

}  // namespace anabranch::llama
