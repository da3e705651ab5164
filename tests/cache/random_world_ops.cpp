// RandomWorld: what it does with its random numbers.
#include <algorithm>
#include <string>
#include <utility>

#include "random_world.hpp"

namespace anabranch::test {

namespace {

constexpr std::int32_t kMaxSequences = 24;
constexpr std::int32_t kMaxDepth = 4;
constexpr std::size_t kManySequences = 14;  // above it, forks become drops
constexpr std::int32_t kManyTokens = 90;    // above it, appends become rewinds

std::string policy_text(const Positions& policy) {
  switch (policy.kind) {
    case Positions::Kind::sequential: return "sequential";
    case Positions::Kind::longest: return "longest";
    case Positions::Kind::reserved: return "reserved(" + std::to_string(policy.extent) + ")";
    case Positions::Kind::given: break;
  }
  return "given";
}

}  // namespace

RandomWorld::RandomWorld(const WorldOptions& options, WorldCounts& counts)
    : options_(options),
      counts_(counts),
      cache_(std::make_unique<KvCache>(CacheOptions{.n_pages = options.n_pages,
                                                    .page_size = options.page_size,
                                                    .max_sequences = kMaxSequences,
                                                    .max_depth = kMaxDepth,
                                                    .max_position = options.max_position,
                                                    .share_tail = options.share_tail,
                                                    .keep_tokens = true})),
      stored_(static_cast<std::size_t>(cache_->n_slots()), 0) {
  require(cache_->n_slots() == options.n_pages * options.page_size, "n_slots is pages x page size");
}

void RandomWorld::apply(const RandomOp& op) {
  ++counts_.operations;
  if (phase_ == Phase::closed) {
    if (committed_.sequences.empty() || op.kind % 100 < 6)
      do_outside(op);
    else
      begin();
  }
  if (phase_ == Phase::open)
    do_in_step(op);
  else if (phase_ == Phase::planned)
    do_planned(op);
  check_sequences();
}

SequenceId RandomWorld::pick(std::uint32_t choice) const {
  return std::next(now_.sequences.begin(), static_cast<std::ptrdiff_t>(choice % now_.sequences.size()))->first;
}

std::optional<SequenceId> RandomWorld::pick_if(std::uint32_t choice,
                                               const std::function<bool(const NaiveSequence&)>& wanted) const {
  std::vector<SequenceId> fitting;
  for (const auto& [id, sequence] : now_.sequences)
    if (wanted(sequence)) fitting.push_back(id);
  if (fitting.empty()) return std::nullopt;
  return fitting[choice % fitting.size()];
}

void RandomWorld::do_outside(const RandomOp& op) {
  if (!committed_.sequences.empty() && op.c % 2 == 0) return save_and_restore();
  if (committed_.sequences.size() >= kManySequences) return;
  const auto first = static_cast<Position>(op.a % 5 == 0 ? op.b % 7 : 0);
  const SequenceId sequence = cache_->create_sequence(first);
  note("const SequenceId " + name(sequence) + " = cache.create_sequence(" + std::to_string(first) + ");");
  committed_.create(sequence, first, options_.max_position);
  now_ = committed_;
}

void RandomWorld::save_and_restore() {
  const auto bytes = cache_->snapshot().save();
  const Snapshot copy = Snapshot::load(bytes);
  require(copy.check().empty(), "check() of a restored snapshot");
  require(copy.save() == bytes, "a restored snapshot saves as the same bytes");
  cache_ = std::make_unique<KvCache>(copy);
  note("// saved and restored");
  ++counts_.restores;
  check_contents();
}

void RandomWorld::begin() {
  step_.emplace(cache_->begin_step());
  note("step = cache.begin_step();");
  phase_ = Phase::open;
  now_ = committed_;
  pending_.clear();
  wanted_.clear();
  adopted_by_.clear();
  n_own_rows_.clear();
  most_pages_ = 0;
  free_before_ = cache_->n_free_pages();
}

void RandomWorld::do_in_step(const RandomOp& op) {
  if (now_.sequences.empty()) return create_sequence(op);
  if (crowded_) {
    crowded_ = false;
    drop(pick(op.a));
    return plan(op);
  }
  const std::uint32_t kind = op.kind % 100;
  if (n_steady_ > 0 || kind < 3) {
    n_steady_ = n_steady_ > 0 ? n_steady_ - 1 : op.b % 4;
    append_to_all(op);
    return plan(op);
  }
  if (kind < 34) return append(op);
  if (kind < 44) return fork(op);
  if (kind < 57) return join(op);
  if (kind < 63) return rewind_some(op);
  if (kind < 67) return adopt(op);
  if (kind < 70) return drop(pick(op.a));
  if (kind < 72) return detach(op);
  if (kind < 74) return hold(op);
  if (kind < 77) return request_logits(op);
  if (kind < 78) return create_sequence(op);
  if (kind < 83) return misuse(op);
  if (kind < 98) return plan(op);
  abort();
}

void RandomWorld::create_sequence(const RandomOp& op) {
  if (now_.sequences.size() >= kManySequences) return;
  const auto first = static_cast<Position>(op.b % 9);
  const SequenceId sequence = step_->create_sequence(first);
  note("const SequenceId " + name(sequence) + " = step.create_sequence(" + std::to_string(first) + ");");
  now_.create(sequence, first, options_.max_position);
}

/// Every sequence in an order of its own.
void RandomWorld::append_to_all(const RandomOp& op) {
  const auto n = static_cast<std::uint32_t>(now_.sequences.size());
  for (std::uint32_t i = 0; i < n && !now_.sequences.empty(); ++i)
    append({op.kind, op.a % 2 == 0 ? op.a + i : op.a + n - i, 1 + (op.b + i * op.c) % 2, op.c});
}

void RandomWorld::append(const RandomOp& op) {
  const SequenceId sequence = pick(op.a);
  const NaiveSequence& naive = now_.at(sequence);
  if (naive.n_tokens() > kManyTokens) return rewind_some(op);
  const auto n = static_cast<std::int32_t>(op.b % 8 == 7 ? op.c % 23 : op.b % 4);
  const bool known = op.c % 4 != 0;
  const auto logits = static_cast<Logits>((op.c / 4) % 3);
  std::vector<TokenId> tokens;
  for (std::int32_t i = 0; i < n; ++i) tokens.push_back(static_cast<TokenId>(last_token_) + 1 + i);
  const std::string call = "step.append(" + name(sequence) + ", " + (known ? "tokens " : "") + std::to_string(n) +
                           ", Logits(" + std::to_string(static_cast<int>(logits)) + "));";
  const auto real = [&] {
    known ? step_->append(sequence, std::span<const TokenId>(tokens), logits)
          : step_->append_unknown(sequence, n, logits);
  };
  if (n > 0 && n > naive.limit - naive.next) return refused(Status::out_of_range, call, real);
  note(call);
  real();
  std::vector<std::uint64_t> context;
  for (const NaiveToken& token : naive.tokens()) context.push_back(token.id);
  for (std::int32_t i = 0; i < n; ++i) {
    const std::uint64_t id = ++last_token_;
    context.push_back(id);
    pending_[id] = {sequence, known, naive.next, context};
    if (!known) unknown_.insert(id);
    now_.append(sequence, id);
    if (logits == Logits::all || (logits == Logits::last && i + 1 == n)) wanted_.push_back({id, sequence, true});
  }
  n_own_rows_[sequence] += n;
  if (n > 0) most_pages_ += n / options_.page_size + 2;
}

void RandomWorld::fork(const RandomOp& op) {
  const SequenceId sequence = pick(op.a);
  if (now_.sequences.size() > kManySequences) return drop(sequence);
  const auto n = static_cast<std::int32_t>(1 + op.b % 4);
  Positions policy = Positions::sequential;
  if (op.c % 4 == 1) policy = Positions::longest;
  if (op.c % 4 == 2) policy = Positions::reserved(static_cast<Position>(1 + (op.c / 4) % 9));
  if (op.c % 4 == 3) policy = Positions::given;
  std::vector<Position> starts;
  for (std::int32_t k = 0; k < n && policy.is_given(); ++k)
    starts.push_back(now_.at(sequence).next +
                     static_cast<Position>((op.c / 4 + op.b * static_cast<std::uint32_t>(k)) % 7));
  const bool far = std::any_of(starts.begin(), starts.end(), [&](Position s) { return s > options_.max_position; });
  std::vector<SequenceId> kids;
  const auto real = [&] { kids = step_->fork(sequence, n, {.positions = policy, .starts = starts}); };
  const std::string call =
      "step.fork(" + name(sequence) + ", " + std::to_string(n) + ", {" + policy_text(policy) + "});";
  if (now_.at(sequence).depth >= kMaxDepth || static_cast<std::int32_t>(now_.sequences.size()) + n > kMaxSequences)
    return refused(Status::limit_reached, call, real);
  if (far) return refused(Status::out_of_range, call, real);
  real();
  note("// " + names(kids) + " = " + call + "  starts at " + std::to_string(cache_->next_position(kids[0])));
  require(static_cast<std::int32_t>(kids.size()) == n, "fork gives n children");
  now_.fork(sequence, kids, policy, starts);
  n_own_rows_[sequence] = 0;
}

void RandomWorld::join(const RandomOp& op) {
  const auto parent = pick_if(op.a, [](const NaiveSequence& sequence) { return !sequence.children.empty(); });
  if (!parent) return append(op);
  std::vector<SequenceId> kids;
  for (std::size_t k = 0; k < now_.at(*parent).children.size(); ++k) {
    const SequenceId kid = now_.at(*parent).children[k];
    if (now_.at(kid).children.empty() && (op.b % 3 == 0 || (op.b >> (k + 2)) % 2 == 0)) kids.push_back(kid);
  }
  if (op.c % 3 == 0) std::reverse(kids.begin(), kids.end());
  if (op.c % 3 == 1 && !kids.empty()) std::rotate(kids.begin(), kids.begin() + 1, kids.end());
  if (op.c % 5 < 2) truncate_before_join(kids, op.b);
  bool given = false;
  for (const SequenceId kid : kids) given = given || now_.at(kid).rule == Positions::Kind::given;
  Position next =
      given ? std::min(options_.max_position, now_.at(*parent).next + static_cast<Position>(op.c % 17)) : kNone;
  if (given && now_.at(*parent).parent == kNoSequence && op.c % 6 == 0) next = static_cast<Position>(op.c % 40);
  const std::string call =
      "step.join(" + name(*parent) + ", " + names(kids) + ", {.next = " + std::to_string(next) + "});";
  const auto real = [&] { step_->join(*parent, kids, {.next = next}); };
  if (given && next < now_.at(*parent).next && now_.at(*parent).parent != kNoSequence)
    return;  // it stands past the maximum
  note(call);
  real();
  now_.join(*parent, kids, next);
  n_own_rows_[*parent] = 0;
  stale_.insert(stale_.end(), kids.begin(), kids.end());
  ++counts_.joins;
}

void RandomWorld::truncate_before_join(const std::vector<SequenceId>& kids, std::uint32_t choice) {
  if (kids.empty()) return;
  const SequenceId kid = kids[choice % kids.size()];
  const std::int32_t own = now_.at(kid).n_tokens() - now_.rewind_floor(kid);
  if (own == 0) return;
  rewind(kid, now_.rewind_floor(kid) + static_cast<std::int32_t>(choice / 8) % own);
  ++counts_.truncated_joins;
}

void RandomWorld::rewind(SequenceId sequence, std::int32_t n) {
  note("step.rewind(" + name(sequence) + ", " + std::to_string(n) + ");");
  step_->rewind(sequence, n);
  n_own_rows_[sequence] = std::max(0, n_own_rows_[sequence] - (now_.at(sequence).n_tokens() - n));
  now_.rewind(sequence, n);
}

void RandomWorld::rewind_some(const RandomOp& op) {
  const SequenceId sequence = pick(op.a);
  const std::int32_t floor = now_.rewind_floor(sequence);
  const std::int32_t tokens = now_.at(sequence).n_tokens();
  const auto back = static_cast<std::int32_t>(op.b % 4 == 0 ? op.c % 97 : op.c % 5);
  rewind(sequence, op.b % 16 == 1 ? floor : std::max(floor, tokens - back));
}

void RandomWorld::adopt(const RandomOp& op) {
  const auto kid = pick_if(op.b, [](const NaiveSequence& sequence) { return sequence.parent != kNoSequence; });
  if (!kid) return append(op);
  const SequenceId parent = now_.at(*kid).parent;
  note("step.adopt(" + name(parent) + ", " + name(*kid) + ");");
  step_->adopt(parent, *kid);
  now_.adopt(parent, *kid);
  adopted_by_[*kid] = parent;
  n_own_rows_[parent] = n_own_rows_[*kid];
  stale_.push_back(*kid);
}

void RandomWorld::drop(SequenceId sequence) {
  note("step.drop(" + name(sequence) + ");");
  step_->drop(sequence);
  now_.drop(sequence);
  stale_.push_back(sequence);
}

void RandomWorld::detach(const RandomOp& op) {
  const auto kid = pick_if(op.a, [](const NaiveSequence& sequence) { return sequence.parent != kNoSequence; });
  if (!kid) return append(op);
  note("step.detach(" + name(*kid) + ");");
  step_->detach(*kid);
  now_.detach(*kid);
  now_.at(*kid).limit = options_.max_position;
}

void RandomWorld::hold(const RandomOp& op) {
  const SequenceId sequence = pick(op.a);
  const auto n = static_cast<std::int32_t>(op.b % 6);
  note("step.hold(" + name(sequence) + ", " + std::to_string(n) + ");");
  step_->hold(sequence, n);
  now_.at(sequence).hold = n;
}

void RandomWorld::request_logits(const RandomOp& op) {
  const SequenceId sequence = pick(op.a);
  const std::vector<NaiveToken> tokens = now_.at(sequence).tokens();
  const std::string call = "step.request_logits(" + name(sequence) + ");";
  const auto real = [&] { step_->request_logits(sequence); };
  if (tokens.empty() || pending_.count(tokens.back().id) == 0) return refused(Status::bad_argument, call, real);
  note(call);
  real();
  wanted_.push_back({tokens.back().id, sequence, false});
}

void RandomWorld::plan(const RandomOp& op) {
  note("step.plan();");
  const PlanResult result = step_->plan();
  if (!result) {
    ++counts_.shortages;
    check_shortage(result.shortage());
    require(step_->open() && !step_->planned(), "after a shortage the step is open and not planned");
    crowded_ = op.c % 3 != 0;
    if (op.b % 2 == 0) abort();
    return;
  }
  ++counts_.plans;
  counts_.rows += result->n_rows();
  require(step_->open() && step_->planned(), "a planned step is open and planned");
  phase_ = Phase::planned;
  planned_ = now_;
  check_plan(*result);
}

void RandomWorld::reject(std::uint32_t choice, std::uint32_t number) {
  const SequenceId sequence = pick(choice);
  const std::int32_t n_rows = n_own_rows_[sequence];
  const auto n = static_cast<std::int32_t>(number % static_cast<std::uint32_t>(n_rows + 2));
  const std::string call = "step.reject(" + name(sequence) + ", " + std::to_string(n) + ");";
  const auto real = [&] { step_->reject(sequence, n); };
  if (n > n_rows) return refused(Status::bad_argument, call, real);
  note(call);
  real();
  now_.at(sequence) = planned_.at(sequence);
  now_.rewind(sequence, now_.at(sequence).n_tokens() - n);
  counts_.has_rejected += n;
}

void RandomWorld::do_planned(const RandomOp& op) {
  if (op.kind % 7 == 0) misuse_state(op);
  for (std::uint32_t k = 0; k < op.kind % 3 && !now_.sequences.empty(); ++k) reject(op.b + k, op.c + k);
  check_sequences();
  const bool run = op.b % 8 != 0;
  if (run) stored_ = overlay_;
  if (op.a % 4 == 0) {
    counts_.aborts_after_model += run ? 1 : 0;
    return abort();
  }
  stored_ = overlay_;
  note("step.commit();");
  step_->commit();
  require(!step_->open(), "a committed step is not open");
  step_.reset();
  ++counts_.commits;
  phase_ = Phase::closed;
  committed_ = now_;
  check_contents();
}

void RandomWorld::abort() {
  note("step.abort();");
  step_->abort();
  require(!step_->open(), "an aborted step is not open");
  step_.reset();
  ++counts_.aborts;
  phase_ = Phase::closed;
  for (const auto& [id, sequence] : now_.sequences)
    if (committed_.sequences.count(id) == 0) stale_.push_back(id);
  std::erase_if(stale_, [&](SequenceId id) { return committed_.sequences.count(id) != 0; });
  now_ = committed_;
  require(cache_->n_free_pages() == free_before_,
          "abort gives back every page it took: " + std::to_string(cache_->n_free_pages()) + " free, before the step " +
              std::to_string(free_before_));
  check_contents();
}

void RandomWorld::finish() {
  if (phase_ != Phase::closed) abort();
  begin();
  while (true) {
    const auto root = pick_if(0, [](const NaiveSequence& sequence) { return sequence.parent == kNoSequence; });
    if (!root) break;
    drop(*root);
  }
  const PlanResult result = step_->plan();
  require(static_cast<bool>(result) && result->n_rows() == 0, "a step that only drops needs no room");
  step_->commit();
  step_.reset();
  require(cache_->n_free_pages() == cache_->n_pages(), "with no sequences all " + std::to_string(cache_->n_pages()) +
                                                           " pages are free, not " +
                                                           std::to_string(cache_->n_free_pages()));
  const auto violated = cache_->snapshot().check();
  require(violated.empty(), violated.empty() ? "" : "check: " + violated.front());
}

}  // namespace anabranch::test
