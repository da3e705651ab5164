// The whole life of a decoder in which any one thing may fail. Every call that throws must have changed nothing, and
// from there on everything must happen as if nothing had failed.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scripted.hpp"

namespace fragile {

using namespace scripted;

/// Burns once, at the n-th touch while it is armed.
class Fuse {
 public:
  explicit Fuse(long n_until) : n_until_(n_until) {}
  bool touch() noexcept { return armed && !burnt && n_until_-- == 0 && (burnt = true); }
  bool armed = false;
  bool burnt = false;

 private:
  long n_until_;
};
struct Burnt : std::exception {};
using Touch = std::function<void()>;  ///< may throw

/// ASPD that fails when its work is done, so that the state has changed already. `w` takes two tokens back.
class FragileAspd {
 public:
  struct State {
    ab::markup::Aspd::State own;
    Tokens forbidden = {kVocabulary - 1};  // in the state, so that a span into a state that is gone is found
    bool in_branch = false;
  };
  explicit FragileAspd(Touch touch) : touch_(std::move(touch)) {}
  State start() const { return after(State{own_.start()}); }
  State child(const State& s, std::int32_t k) const {
    return after(State{own_.child(s.own, k), {kVocabulary - 1}, true});
  }
  ab::markup::Action open(State& s) const {
    s.forbidden.push_back(kVocabulary - 2);
    return after(ab::markup::Action::go_on());
  }
  ab::markup::Action next(State& s, TokenId token) const {
    ab::markup::Action action = own_.next(s.own, token);
    if (token == kFirstLetter + 22) {
      action.forget = 2;
      action.forced = {{kFirstLetter + 21, ab::markup::Role::text}};
    }
    return after(std::move(action));
  }
  ab::markup::Action end_of_text(State& s) const {
    ab::markup::Action action = s.in_branch ? ab::markup::Action::end_branch() : ab::markup::Action::finish();
    action.forget = 1;
    action.forced = own_.closing(s.own);
    return after(std::move(action));
  }
  ab::markup::Action joined(State& s) const { return after(own_.joined(s.own)); }
  ab::markup::Forced closing(const State& s) const { return after(own_.closing(s.own)); }
  TokenId draft(const State& s) const { return after(own_.draft(s.own)); }
  ab::markup::Constraint constrain(const State& s) const { return after(ab::markup::Constraint{{}, s.forbidden}); }

 private:
  template <class Result>
  Result after(Result result) const {
    touch_();
    return result;
  }
  ab::markup::Aspd own_ = aspd();
  Touch touch_;
};

struct FragileLetters {
  Touch touch;
  void operator()(std::span<const TokenId> list, std::string& out) const {
    Letters()(list, out);
    touch();
  }
};

struct FragileSampler {
  Touch touch;
  ab::Sampler own = {};
  TokenId operator()(std::span<const float> logits, const ab::OutputSettings& settings) {
    touch();
    return own(logits, settings);
  }
};

inline std::string record_of(const ab::Statistics& s) {
  std::string text;
  for (const std::int32_t n :
       {s.n_serial, s.n_branch, s.n_title, s.n_tag, s.n_prompt, s.n_sampled, s.n_forced, s.n_forgotten, s.n_blocks,
        s.n_branches, s.n_passes, s.n_prefill, s.ended_by_text ? 1 : 0})
    text += std::to_string(n) + ",";
  return text;
}
inline std::string record_of(const ab::Event& e) {
  std::string text = std::to_string(static_cast<int>(e.kind)) + " " +
                     std::to_string(static_cast<std::uint64_t>(e.request)) + "/" + std::to_string(e.branch) + " '" +
                     e.text + "' " + std::to_string(e.token) + " " + std::to_string(static_cast<int>(e.role)) +
                     std::to_string(static_cast<int>(e.source)) + " " + std::to_string(e.log_probability) + " " +
                     std::to_string(e.first_branch) + "+" + std::to_string(e.n_branches) + " " +
                     ab::reason_name(e.reason) + " " + record_of(e.statistics);
  for (const auto& top : e.top) text += std::to_string(top.token) + ":" + std::to_string(top.log_probability) + " ";
  for (const std::string& title : e.titles) text += title + ";";
  return text + "\n";
}

/// The reaction to a call that failed, before it is repeated.
enum class After { repeat, abort, cancel };

class Life {
 public:
  using Decoder = ab::Decoder<FragileAspd, FragileLetters, FragileSampler>;
  struct Limits {
    std::int32_t n_pages = 160;
    std::int32_t max_rows = 9;
  };
  Life(Fuse& fuse, const Touch& touch, After after, const Limits& limits)
      : cache({.n_pages = limits.n_pages, .page_size = 2, .max_position = 500}),
        decoder(cache, FragileAspd(touch), FragileLetters{touch},
                {.max_branches = 3,
                 .max_tokens = 90,
                 .max_depth = 2,
                 .max_rows = limits.max_rows,
                 .end_of_text = {kEnd},
                 .draft = true},
                FragileSampler{touch}),
        fuse_(fuse),
        touch_(touch),
        after_(after) {}

  /// Fork, join, nested blocks, limits, prompts in chunks, requests cancelled, released and continued.
  void live() {
    const auto nested = submit({}, "p", {.max_parallel_branches = 1, .n_log_probabilities = 2, .hook = hook()},
                               {{{}, "x(a)(b)(c){ywz."},
                                {{{0, 0}}, "d(e)(f){g]"},
                                {{{0, 1}}, "hhhh(k){hh]"},
                                {{{0, 2}}, "]"},
                                {{{0, 0}, {0, 0}}, "i(m){i]"},
                                {{{0, 0}, {0, 1}}, "jw."}});
    const auto limited = submit({}, "pqrstuvwxyzpqrstuvwxyz", {.stop = {"yz", "b"}, .max_branch_tokens = 3},
                                {{{}, "m(n)(o){qrs."}, {{{0, 0}}, "nnnnnn]"}, {{{0, 1}}, "ayz]"}});
    submit({}, std::string(330, 'p'), {}, {});
    const auto cut = submit({}, "pq", {.max_tokens = 5}, {{{}, "(a){xyz."}, {{{0, 0}}, "cccc]"}});
    const auto victim = submit({}, "pqr", {}, {{{}, "(a)(b){z."}, {{{0, 0}}, "cccccccc]"}, {{{0, 1}}, "dddddddd]"}});
    passes(17, kNoRequest);
    passes(1, victim);  // cancelled while it is planned
    passes(2, kNoRequest);
    release(victim);
    passes(60, kNoRequest);
    submit(cut, "", {.max_tokens = 3}, {{{}, "uvx"}});
    submit(limited, "rs", {.sampling = {.temperature = 0.5f, .repetition_penalty = 1.2f}},
           {{{}, "t(u){v."}, {{{0, 0}}, "st]"}});
    submit(nested, "q", {}, {{{}, "ab."}});
    passes(60, kNoRequest);
    CHECK_FALSE(decoder.has_work());
    for (const ab::RequestId id : ids_) note_request(id);
    for (const ab::RequestId id : ids_)
      if (!released_.count(id)) release(id);
    sweep();
    CHECK(cache.n_sequences() == 0);
    CHECK(cache.n_free_pages() == cache.n_pages());
    REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
  }

  std::map<ab::RequestId, std::string> records;  ///< everything that was reported of a request, in order
  std::set<ab::RequestId> gone;                  ///< cancelled after a failure; and what goes on with them
  std::int32_t n_failed = 0;
  ab::KvCache cache;
  Decoder decoder;

 private:
  static constexpr ab::RequestId kNoRequest = ab::kNoRequest;
  using Scripts = std::map<Path, std::string>;

  /// Runs the call until it has succeeded. A call that fails has changed nothing.
  template <class Call>
  void attempt(const char* name, Call&& call) {
    for (;; after_failure()) {
      const std::string before = state();
      fuse_.armed = true;
      try {
        call();
        fuse_.armed = false;
        return;
      } catch (const std::exception& error) {
        fuse_.armed = false;
        INFO(name << " failed: " << error.what());
        REQUIRE(fuse_.burnt);
        REQUIRE(++n_failed == 1);
        REQUIRE(state() == before);
      }
    }
  }
  void after_failure() {
    if (after_ == After::cancel) {
      if (const ab::RequestId id = newest(); id != kNoRequest) {
        gone.insert(id);
        decoder.cancel(id);
      }
    }
    if (after_ != After::abort || !planned_) return;
    decoder.abort();
    for (const ab::RequestId id : ids_)  // the pass in which it was cancelled does not count now
      if (!released_.count(id) && decoder.reason(id) == ab::EndReason::cancelled) gone.insert(id);
    REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
    take(decoder.plan());
    REQUIRE(planned_);
  }

  ab::LogitHook hook() {
    return [touch = touch_](const ab::HookContext&, std::span<float> logits) {
      logits[kVocabulary - 3] = 9.0f;
      touch();
    };
  }
  ab::RequestId submit(ab::RequestId after, const std::string& prompt, ab::RequestOptions options,
                       const Scripts& scripts) {
    const bool lost = after != kNoRequest && decoder.reason(after) == ab::EndReason::cancelled;
    options.after = lost ? kNoRequest : after;
    const Tokens list = tokens(lost && prompt.empty() ? "p" : prompt);
    ab::RequestId id = kNoRequest;
    attempt("submit", [&] { id = decoder.submit(list, options); });
    ids_.push_back(id);
    if (gone.count(after) > 0) gone.insert(id);
    for (const auto& [path, text] : scripts) scripts_[{id, path}] = tokens(text);
    return id;
  }
  void release(ab::RequestId id) {
    note_request(id);
    attempt("release", [&] { decoder.release(id); });
    released_.insert(id);
  }

  void take(const ab::DecoderPlan& plan) {
    planned_ = static_cast<bool>(plan);
    outputs_ = plan.output_settings();
    shortage_ = plan.shortage().n_pages;
    for (std::size_t r = 0; planned_ && r < plan->tokens.size(); ++r) held_[plan->slots[r]] = plan->tokens[r];
    sampled_.clear();
    for (const ab::OutputSettings& output : outputs_) sampled_.push_back(choice(output));
    logits_.assign(outputs_.size() * kVocabulary, 0.0f);
    for (std::size_t i = 0; i < sampled_.size(); ++i)
      logits_[i * kVocabulary + static_cast<std::size_t>(sampled_[i])] = 10.0f;
  }
  void plan() {
    std::optional<ab::DecoderPlan> made;
    attempt("plan", [&] { made.emplace(decoder.plan()); });
    take(*made);
  }
  void sweep() {
    plan();
    note(decoder.take_events());
  }
  /// Until nothing is left, at most `n`; a shortage ends the newest request. `victim` is cancelled in the first.
  void passes(int n, ab::RequestId victim) {
    while (n-- > 0 && decoder.has_work()) {
      plan();
      if (!planned_) {
        note(decoder.take_events());
        if (const ab::RequestId id = newest(); shortage_ > 0) attempt("cancel", [&] { decoder.cancel(id); });
        continue;
      }
      if (victim != kNoRequest) attempt("cancel", [&] { decoder.cancel(victim); });
      victim = kNoRequest;
      commit(n % 2 == 0);
    }
  }
  /// The request that came last, of those that run.
  ab::RequestId newest() const {
    for (std::size_t i = ids_.size(); i-- > 0;)
      if (!released_.count(ids_[i]) && decoder.reason(ids_[i]) == ab::EndReason::none) return ids_[i];
    return kNoRequest;
  }
  void commit(bool by_host) {
    std::span<const ab::Event> events;
    attempt("commit", [&] {
      if (by_host)
        events = decoder.commit_sampled(sampled_);
      else
        events = decoder.commit({logits_.data(), static_cast<std::int32_t>(sampled_.size()), kVocabulary});
    });
    planned_ = false;
    outputs_ = {};
    note(events);
    REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
  }
  TokenId choice(const ab::OutputSettings& output) const {
    Path path;
    for (const ab::PathStep& step : decoder.branch(output.request, output.branch).path)
      path.emplace_back(step.block, step.branch);
    const auto script = scripts_.find({output.request, path});
    if (script == scripts_.end() || output.index >= static_cast<std::int64_t>(script->second.size())) return kEnd;
    return script->second[static_cast<std::size_t>(output.index)];
  }

  void note(std::span<const ab::Event> events) {
    for (const ab::Event& event : events) records[event.request] += record_of(event);
  }
  void note_request(ab::RequestId id) {
    if (released_.count(id)) return;
    std::string& record = records[id];
    record += request(id) + "\n";
    const ab::SequenceId sequence = decoder.branch(id, ab::kTrunk).sequence;
    if (sequence == ab::kNoSequence) return;
    Tokens list;
    for (const ab::Slot slot : cache.slots_of(sequence)) list.push_back(held_.at(slot));
    record += scripted::spelled(list) + "\n";
  }

  std::string request(ab::RequestId id) const {
    std::string text = std::string(ab::reason_name(decoder.reason(id))) + " " + record_of(decoder.statistics(id));
    for (ab::BranchIndex b = 0; b <= decoder.n_branches(id); ++b) {
      const ab::Branch branch = decoder.branch(id, b);
      for (const ab::PathStep step : branch.path)
        text += std::to_string(step.block) + "." + std::to_string(step.branch) + " ";
      text += branch.title + "|" + branch.text + "|" + ab::reason_name(branch.reason) + ";";
    }
    return text;
  }
  /// Everything that can be seen of the decoder and of its sequences.
  std::string state() const {
    std::string text = std::to_string(cache.n_sequences()) + " " + std::to_string(cache.n_free_pages()) +
                       (decoder.has_work() ? " work\n" : "\n");
    for (const ab::RequestId id : ids_) {
      if (released_.count(id)) continue;
      text += request(id);
      for (ab::BranchIndex b = 0; b <= decoder.n_branches(id); ++b) {
        const ab::SequenceId sequence = decoder.branch(id, b).sequence;
        if (sequence != ab::kNoSequence)
          text += std::to_string(sequence.index) + "." + std::to_string(sequence.generation) + " " +
                  std::to_string(cache.n_tokens(sequence)) + "@" + std::to_string(cache.next_position(sequence)) + " ";
      }
      text += "\n";
    }
    for (const ab::OutputSettings& o : outputs_) {
      text += std::to_string(static_cast<std::uint64_t>(o.request)) + "/" + std::to_string(o.branch) + " " +
              std::to_string(o.index) + " " + std::to_string(static_cast<std::uint64_t>(o.stream));
      for (const auto list : {o.allowed, o.forbidden, o.seen}) {
        text += " :";
        for (const TokenId token : list) text += " " + std::to_string(token);
      }
      text += "\n";
    }
    return text;
  }

  Fuse& fuse_;
  Touch touch_;
  After after_;
  std::vector<ab::RequestId> ids_;
  std::set<ab::RequestId> released_;
  std::map<std::pair<ab::RequestId, Path>, Tokens> scripts_;
  std::map<ab::Slot, TokenId> held_;
  std::span<const ab::OutputSettings> outputs_;
  Tokens sampled_;             // [n_outputs] of the plan, by the scripts
  std::vector<float> logits_;  // [n_outputs, kVocabulary], the same
  bool planned_ = false;
  std::int32_t shortage_ = 0;
};

}  // namespace fragile
