// llama.cpp as a host: step plans become llama_batch'es and host operations on its unified KV cache.
//
//   KvCache cache(llama::cache_options(context));
//   llama::Host host(context, cache);                     // a Model of the decoder
//   auto plan = decoder.plan();
//   decoder.commit(host(*plan));                          // or abort
//   host.committed();                                     // or aborted()
//
// llama.cpp keeps sequences of its own, named by a seq_id; every sequence of the cache that has tokens has one of them.
// A fork copies what llama.cpp holds already (llama_memory_seq_cp) and gives the rows of the same pass a further
// seq_id; a join copies the branches' tokens into the parent's seq_id. llama.cpp refuses a batch with both a branch's
// row and a row that sees it after a join, so such a plan takes two or more calls of llama_decode. A seq_id that was in
// use before the pass only gets tokens appended; every other change is made on a copy under a fresh seq_id, so that
// `aborted`, or a failure halfway, undoes the whole pass. llama.cpp is told of removals in `committed`.
//
// In layers with a sliding window llama.cpp drops what the next token of a seq_id no longer sees. No fork, join or
// further token needs it; a rewind or an aborted pass that reaches behind it ends in not_exact.
//
// llama.cpp wants consecutive positions in a seq_id, so of the position policies only `longest` always works. The host
// checks, token by token, that llama.cpp would show each row what the plan shows it, and refuses a plan that differs.
//
// Requires: every step with rows, forks, joins, rewinds or adopts runs through the host (it notices sequences that end
// in other steps); one thread at a time; the context and the cache outlive the host. Its destructor empties its
// seq_ids.
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
  std::int32_t first_seq_id = 0;  ///< lowest seq_id to use
  std::int32_t n_seq_ids = 0;     ///< how many; 0: all that the context has from there on
};

struct HostStatistics {
  std::int64_t n_passes = 0;    ///< plans that ran
  std::int64_t n_decodes = 0;   ///< calls of llama_decode that succeeded
  std::int64_t n_copies = 0;    ///< calls of llama_memory_seq_cp
  std::int64_t n_removals = 0;  ///< calls of llama_memory_seq_rm
  double planning_seconds = 0;  ///< spent on turning plans into batches, without llama.cpp
  double seq_op_seconds = 0;    ///< spent in the copies and removals
  double decode_seconds = 0;    ///< spent in llama_decode
};

class Host {
 public:
  /// `cache` tells which sequences are alive. Throws bad_argument (a null context, one whose cache is not unified,
  /// seq_ids that it lacks or that hold tokens) or unsupported (a model without a plain KV cache).
  template <class Cache>
  requires requires(const Cache& cache, SequenceId sequence) { cache.slots_of(sequence); }
  Host(llama_context* context, const Cache& cache, const HostOptions& options = {})
      : Host(context, read_sequences_of(cache), options) {}
  /// The same with any cache. `read_sequence` returns how many tokens a sequence sees, the open step included, and
  /// writes their slots to `slots` unless that is null; it returns kNone for a sequence that is not alive. It must not
  /// throw.
  using ReadSequence = std::function<std::int32_t(SequenceId sequence, std::vector<Slot>* slots)>;
  Host(llama_context* context, ReadSequence read_sequence, const HostOptions& options = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  /// Runs a pass. The logits [n_outputs, vocabulary] are valid until the next call. When it throws, llama.cpp is as it
  /// was before; abort the step, without calling `aborted`:
  ///   not_exact      a position jump, or anything else that llama.cpp cannot express; the text says where
  ///   no_room        llama_decode found no room in its cache: make some, and plan again
  ///   limit_reached  all seq_ids are in use
  ///   bad_argument   a token that is unknown or outside the vocabulary
  ///   wrong_state    the pass before was neither committed nor aborted
  ///   internal       llama_decode failed otherwise
  LogitsView operator()(const StepPlan& plan);
  /// Tells the host that the step of the last pass was committed. Call it before another step begins.
  void committed() noexcept;
  /// Tells the host that it was aborted: llama.cpp is then as it was before the pass.
  void aborted() noexcept;

  /// kNone while llama.cpp holds no token of the sequence.
  std::int32_t seq_id_of(SequenceId sequence) const noexcept;
  std::int32_t n_seq_ids() const noexcept;       ///< how many the host may use
  std::int32_t n_used_seq_ids() const noexcept;  ///< how many it uses now
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
/// and half as many sequences as it has seq_ids, because a sequence that is rewound or joined late needs two of them
/// until the commit.
CacheOptions cache_options(const llama_context* context);

}  // namespace anabranch::llama
