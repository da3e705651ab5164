// Engine: the decoder's requests, and their way through plan and commit.
//
// A call that throws has changed nothing: what may fail (the markup, the text, the sampler, a hook, memory) works on
// copies of the requests, and these take their places together with the commit of the step, which cannot fail.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/decode/impl/repeated_ngrams.hpp>
#include <anabranch/decode/impl/request_state_machine.hpp>
#include <anabranch/decode/impl/request_transaction.hpp>
#include <anabranch/decode/impl/step_builder.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/decode/sampler.hpp>

namespace anabranch::impl {

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
class Engine {
 public:
  using State = typename M::State;
  using RequestT = Request<State>;
  using BranchT = BranchState<State>;
  using TransactionT = RequestTransaction<State>;
  using Step = typename Cache::Step;
  struct Sequence {
    std::vector<PathStep> path;
    std::string title;
    std::string text;
    EndReason reason;
    SequenceId sequence;
  };

  Engine(Cache& cache, M markup, Text text, DecoderOptions options, S sampler);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  RequestId submit(std::span<const TokenId> prompt, const RequestOptions& options);
  bool has_work() const noexcept;
  /// Null: `shortage` says why.
  const StepPlan* plan(Shortage& shortage);
  std::span<const OutputSettings> outputs() const noexcept { return settings_; }
  std::span<const Event> commit(const LogitsView& logits);
  std::span<const Event> commit_sampled(std::span<const TokenId> tokens);
  void abort() noexcept;
  std::vector<Event> take_events();
  void cancel(RequestId id);
  void release(RequestId id);
  const RequestT& find(RequestId id) const;
  Sequence branch(RequestId id, BranchIndex branch) const;
  const DecoderOptions& options() const noexcept { return machine_.options(); }

 private:
  struct OutputOwner {
    std::size_t request = 0;  ///< in requests_, where it stays while the plan is open
    BranchIndex branch = kTrunk;
    std::size_t n_drafts = 0;  ///< the row stands behind so many drafts of the sequence
  };

  // engine_requests.hpp
  std::size_t index_of(RequestId id) const;
  TransactionT begin_transaction() noexcept { return {requests_, machine_.events(), retired_}; }
  void check(std::span<const TokenId> prompt, const RequestOptions& options) const;
  std::unique_ptr<RequestT> make(const RequestOptions& options, RequestT* before) const;
  void continue_history(RequestT& r, const RequestT& before) const;
  RequestT* history_of(RequestId after);
  std::int32_t n_sequences_due() const;
  void end_by_caller(std::size_t request);
  void sweep();
  void try_sweep() noexcept;
  void drop_abandoned();
  // engine_plan.hpp
  const StepPlan* plan_step(Shortage& shortage);
  const StepPlan* plan_step(Shortage& shortage, bool draft, bool& drafted);
  bool build_step(Step& step, bool draft);
  void start_settings(const StepPlan& plan);
  void add_settings(const OutputOwner& owner);
  void end_hopeless(TransactionT& transaction);
  bool end_starved(TransactionT& transaction);
  std::int32_t short_alone(RequestT& r);
  std::int32_t n_pages_of_others(const RequestT& r) const;
  // engine_commit.hpp
  void need_plan(const char* call) const;
  const RequestT& owner(std::size_t output) const { return *requests_[owners_[output].request]; }
  bool counts(std::size_t output, const std::vector<SampledToken>& sampled) const;
  SampledToken draw(std::size_t output, std::span<const float> logits);
  std::span<const Event> accept(const std::vector<SampledToken>& sampled);
  void reject_wrong_drafts(const std::vector<SampledToken>& sampled);
  void keep_all_drafts();  // undoes it
  void accept_each(const std::vector<SampledToken>& sampled);
  std::size_t n_outputs_of_sequence(std::size_t first) const noexcept;
  static void count_pass(RequestT& r) noexcept;
  void end_plan() noexcept;

  Cache* cache_;
  RequestStateMachine<Cache, M, Text> machine_;
  S sampler_;
  typename TransactionT::Requests requests_;  // ascending id
  typename TransactionT::Requests retired_;   // what they were, while settings_ borrows from it
  std::uint64_t last_id_ = 0;
  std::optional<Step> step_;
  const StepPlan* plan_ = nullptr;
  std::vector<OutputOwner> owners_;              // [n_outputs] of the open plan
  std::vector<OutputSettings> settings_;         // [n_outputs]
  std::vector<std::vector<TokenId>> forbidden_;  // of requests with no_repeat_ngram: [n_outputs], kept for their memory
  std::vector<std::vector<TokenId>> seen_behind_drafts_;  // [n_outputs], of those behind drafts
  std::vector<float> scratch_;                            // logits that a hook may change
  std::vector<Event> delivered_;
};

}  // namespace anabranch::impl

#include <anabranch/decode/impl/engine_commit.hpp>
#include <anabranch/decode/impl/engine_plan.hpp>
#include <anabranch/decode/impl/engine_requests.hpp>
