#include <anabranch/llama/host.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <llama.h>

#include <anabranch/error.hpp>

#include "indices.hpp"
#include "seq_table.hpp"

namespace anabranch::llama {
namespace {

using Clock = std::chrono::steady_clock;

/// Adds the time from its construction to its destruction to a sum.
class Timed {
 public:
  explicit Timed(double& sum) : sum_(sum) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() { sum_ += std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  double& sum_;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace

/// The arrays that a llama_batch points into.
class BatchArrays {
 public:
  void start(std::size_t n) {
    token_.clear();
    position_.clear();
    n_seq_ids_.clear();
    seq_ids_.clear();
    wanted_.clear();
    token_.reserve(n);
  }
  void add(TokenId token, Position position, std::int8_t wanted) {
    token_.push_back(token);
    position_.push_back(position);
    n_seq_ids_.push_back(0);
    wanted_.push_back(wanted);
  }
  /// Adds a seq_id to the row that was added last.
  void add_seq_id(std::int32_t seq_id) {
    ++n_seq_ids_.back();
    seq_ids_.push_back(seq_id);
  }
  llama_batch view() {
    seq_ids_of_row_.clear();
    llama_seq_id* at = seq_ids_.data();
    for (const std::int32_t n : n_seq_ids_) {
      seq_ids_of_row_.push_back(at);
      at += n;
    }
    return {static_cast<std::int32_t>(token_.size()),
            token_.data(),
            nullptr,
            position_.data(),
            n_seq_ids_.data(),
            seq_ids_of_row_.data(),
            wanted_.data()};
  }
  std::int32_t n_rows() const noexcept { return static_cast<std::int32_t>(token_.size()); }

 private:
  std::vector<llama_token> token_;
  std::vector<llama_pos> position_;
  std::vector<std::int32_t> n_seq_ids_;
  std::vector<llama_seq_id> seq_ids_;
  std::vector<llama_seq_id*> seq_ids_of_row_;
  std::vector<std::int8_t> wanted_;
};

namespace {

void check_context(const llama_context* context) {
  if (context == nullptr) fail(Status::bad_argument, "the llama.cpp context is null");
  const llama_model* model = llama_get_model(context);
  if (llama_get_memory(context) == nullptr || llama_model_has_encoder(model) || llama_model_is_recurrent(model) ||
      llama_model_is_hybrid(model) || llama_model_is_diffusion(model))
    fail(Status::unsupported, "a model without a plain KV cache (an encoder, a recurrent, hybrid or diffusion model)");
  const llama_rope_type rope = llama_model_rope_type(model);
  if (rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE)
    fail(Status::unsupported, "a model with several positions per token (M-RoPE)");
  const std::uint32_t n_seq_ids = llama_n_seq_max(context);
  if (llama_n_ctx_seq(context) != llama_n_ctx(context))
    fail(Status::bad_argument, "the context gives each of ", n_seq_ids,
         " seq_ids a cache of its own; it must be made with kv_unified");
  if (llama_n_batch(context) < n_seq_ids)
    fail(Status::bad_argument, "n_batch of the context is ", llama_n_batch(context), ", less than its ", n_seq_ids,
         " seq_ids");
}

std::int32_t count_seq_ids(const llama_context* context, const HostOptions& options) {
  check_context(context);
  const auto n_max = static_cast<std::int32_t>(llama_n_seq_max(context));
  const std::int32_t n = options.n_seq_ids > 0 ? options.n_seq_ids : n_max - options.first_seq_id;
  if (options.first_seq_id < 0 || options.n_seq_ids < 0 || n < 1 || n > n_max - options.first_seq_id)
    fail(Status::bad_argument, n, " seq_ids from ", options.first_seq_id, " on; the context has seq_ids 0 to ",
         n_max - 1);
  for (std::int32_t s = options.first_seq_id; s < options.first_seq_id + n; ++s)
    if (const Position last = llama_memory_seq_pos_max(llama_get_memory(context), s); last >= 0)
      fail(Status::bad_argument, "seq_id ", s, " of the context is not empty: it holds position ", last);
  return n;
}

}  // namespace

struct Host::Impl {
  Impl(llama_context* with, ReadSequence read_sequence, const HostOptions& options)
      : context(with), table(options.first_seq_id, count_seq_ids(with, options), std::move(read_sequence)) {
    memory = llama_get_memory(context);
    vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
    window = llama_model_n_swa(llama_get_model(context));
    held_from.assign(static_cast<std::size_t>(table.n()), 0);
  }

  void check(const StepPlan& plan) const;
  void run(const StepPlan& plan, const std::vector<DecodeBatch>& batches);
  void run(const StepPlan& plan, const DecodeBatch& batch);
  void fill(const StepPlan& plan, const DecodeBatch& batch, std::size_t begin, std::size_t end);
  void check_window(const StepPlan& plan, const DecodeBatch& batch, std::size_t begin, std::size_t end) const;
  void note_dropped();
  void decode();
  void keep_logits(const StepPlan& plan);
  LogitsView logits_of(const StepPlan& plan);
  std::size_t index_of(std::int32_t seq_id) const noexcept { return static_cast<std::size_t>(seq_id - table.first()); }
  std::size_t logits_width() const noexcept { return static_cast<std::size_t>(vocabulary); }
  void take_back() noexcept;
  void remove(std::int32_t seq_id, Position begin) noexcept;
  void empty(const std::vector<std::int32_t>& seq_ids) noexcept;

  llama_context* context;
  llama_memory_t memory = nullptr;
  std::int32_t vocabulary = 0;
  std::int32_t window = 0;  // of the layers that have one; 0: none has
  SeqTable table;
  std::vector<Position> held_from;  // [seq_ids]: llama.cpp holds all tokens at these positions and behind, windows too
  bool open = false;                // a pass ran whose step was neither committed nor aborted
  HostStatistics statistics;
  // Of the pass that runs:
  BatchArrays arrays;
  Table<std::int8_t, PlanRow> wanted;           // [n_rows]
  Table<std::int32_t, PlanRow> index_in_batch;  // [n_rows], of the last llama_decode; kNone: not in it
  std::size_t next_also = 0;
  std::int32_t n_calls = 0;
  std::vector<float> logits;  // [n_outputs, vocabulary], unless llama.cpp's own can be handed out
};

Host::Host(llama_context* context, ReadSequence read_sequence, const HostOptions& options)
    : impl_(std::make_unique<Impl>(context, std::move(read_sequence), options)) {}

Host::~Host() {
  for (std::int32_t s = impl_->table.first(); s < impl_->table.first() + impl_->table.n(); ++s) impl_->remove(s, 0);
}

void Host::Impl::check(const StepPlan& plan) const {
  if (open)
    fail(Status::wrong_state,
         "the pass before was neither committed nor aborted; call committed or aborted of the host first");
  for (std::size_t r = 0; r < plan.tokens.size(); ++r)
    if (plan.tokens[r] < 0 || plan.tokens[r] >= vocabulary)
      fail(Status::bad_argument, "token ", plan.tokens[r], " of row ", r, " is outside the vocabulary [0, ", vocabulary,
           ")", (plan.tokens[r] == kUnknownToken ? ": this host needs every token of a plan" : ""));
}

LogitsView Host::operator()(const StepPlan& plan) {
  Impl& host = *impl_;
  host.check(plan);
  host.empty(host.table.sweep(plan));
  const std::vector<DecodeBatch>* batches = nullptr;
  {
    const Timed timed(host.statistics.planning_seconds);
    batches = &host.table.plan_batches(plan);
  }
  try {
    host.run(plan, *batches);
  } catch (...) {
    host.take_back();
    throw;
  }
  host.open = true;
  ++host.statistics.n_passes;
  return host.logits_of(plan);
}

void Host::Impl::run(const StepPlan& plan, const std::vector<DecodeBatch>& batches) {
  wanted.assign(plan.n_rows(), 0);
  for (const Output& output : plan.outputs) wanted[PlanRow(output.row)] = 1;
  n_calls = 0;
  logits.clear();
  for (const DecodeBatch& batch : batches) run(plan, batch);
}

void Host::Impl::run(const StepPlan& plan, const DecodeBatch& batch) {
  {
    const Timed timed(statistics.seq_op_seconds);
    for (const Copy& copy : batch.copies) {
      llama_memory_seq_cp(memory, copy.from, copy.to, copy.begin, copy.end);
      held_from[index_of(copy.to)] = std::max(held_from[index_of(copy.to)], held_from[index_of(copy.from)]);
    }
    statistics.n_copies += static_cast<std::int64_t>(batch.copies.size());
  }
  const std::size_t most = llama_n_batch(context);
  next_also = 0;
  for (std::size_t begin = 0; begin < batch.rows.size(); begin += most) {
    if (n_calls > 0) keep_logits(plan);
    {
      const Timed timed(statistics.planning_seconds);
      const std::size_t end = std::min(batch.rows.size(), begin + most);
      if (window > 0) check_window(plan, batch, begin, end);
      fill(plan, batch, begin, end);
    }
    decode();
    if (window > 0) note_dropped();
  }
}

/// Fills the arrays with rows [begin, end) of a batch. `next_also` moves along, because `also` is in the order of rows.
void Host::Impl::fill(const StepPlan& plan, const DecodeBatch& batch, std::size_t begin, std::size_t end) {
  arrays.start(end - begin);
  index_in_batch.assign(plan.n_rows(), kNone);
  for (std::size_t i = begin; i < end; ++i) {
    const PlanRow row(batch.rows[i].row);
    index_in_batch[row] = arrays.n_rows();
    arrays.add(plan.tokens[row.offset()], plan.positions[row.offset()], wanted[row]);
    arrays.add_seq_id(batch.rows[i].seq_id);
    for (; next_also < batch.also.size() && batch.also[next_also].first == i; ++next_also)
      arrays.add_seq_id(batch.also[next_also].second);
  }
}

/// In layers with a window, llama.cpp writes over cells that the next token of their only seq_id would not see. A row
/// that goes back behind that token, after a rewind or an aborted pass, may miss some: it is refused.
void Host::Impl::check_window(const StepPlan& plan, const DecodeBatch& batch, std::size_t begin,
                              std::size_t end) const {
  for (std::size_t i = begin; i < end; ++i) {
    const RowIndex row = batch.rows[i].row;
    const Position position = plan.positions[PlanRow(row).offset()];
    const Position sees = std::max(0, position - window + 1);
    const Position held = held_from[index_of(batch.rows[i].seq_id)];
    if (sees < held)
      fail(Status::not_exact, "row ", row, " at position ", position, " sees positions from ", sees,
           " on in the layers with a window of ", window, "; llama.cpp has dropped those before ", held,
           " (after a rewind or an aborted pass). Begin the sequence anew");
  }
}

/// Notes what llama.cpp has dropped for the rows that it has just decoded. A join may bring older tokens back, with a
/// gap behind them: what was dropped stays noted.
void Host::Impl::note_dropped() {
  for (std::int32_t s = table.first(); s < table.first() + table.n(); ++s) {
    const Position least = llama_memory_seq_pos_min(memory, s);
    if (least > table.first_position(s)) held_from[index_of(s)] = std::max(held_from[index_of(s)], least);
  }
}

void Host::Impl::decode() {
  std::int32_t status = 0;
  {
    const Timed timed(statistics.decode_seconds);
    status = llama_decode(context, arrays.view());
    llama_synchronize(context);
  }
  if (status == 1)
    fail(Status::no_room, "llama.cpp found no room for ", arrays.n_rows(), " tokens in its ", llama_n_ctx(context),
         " cells; the pass was undone");
  if (status != 0)
    fail(Status::internal, "llama_decode gave ", status, " for a batch of ", arrays.n_rows(),
         " tokens; the pass was undone");
  ++n_calls;
  ++statistics.n_decodes;
}

/// Saves the logits of the last llama_decode, which the next one overwrites.
void Host::Impl::keep_logits(const StepPlan& plan) {
  const std::size_t n = logits_width();
  logits.resize(plan.outputs.size() * n);
  for (std::size_t k = 0; k < plan.outputs.size(); ++k) {
    const std::int32_t index = index_in_batch[PlanRow(plan.outputs[k].row)];
    if (index == kNone) continue;
    const float* from = llama_get_logits_ith(context, index);
    ANABRANCH_ASSERT(from != nullptr);
    std::copy(from, from + n, logits.begin() + static_cast<std::ptrdiff_t>(k * n));
  }
}

LogitsView Host::Impl::logits_of(const StepPlan& plan) {
  const auto n_outputs = static_cast<std::int32_t>(plan.outputs.size());
  if (n_outputs == 0) return {nullptr, 0, vocabulary};
  const auto own = [&](std::size_t k) {
    return llama_get_logits_ith(context, index_in_batch[PlanRow(plan.outputs[k].row)]);
  };
  bool in_order = n_calls == 1;
  for (std::size_t k = 0; in_order && k < plan.outputs.size(); ++k) in_order = own(k) == own(0) + k * logits_width();
  if (in_order) return {own(0), n_outputs, vocabulary};
  keep_logits(plan);
  return {logits.data(), n_outputs, vocabulary};
}

/// Removes from llama.cpp what the open pass has put there.
void Host::Impl::take_back() noexcept {
  for (const Gained& gain : table.gained()) remove(gain.seq_id, gain.kept);
  table.undo();
}

void Host::Impl::remove(std::int32_t seq_id, Position begin) noexcept {
  const Timed timed(statistics.seq_op_seconds);
  llama_memory_seq_rm(memory, seq_id, begin, -1);
  ++statistics.n_removals;
  if (begin == 0) held_from[index_of(seq_id)] = 0;
}

void Host::Impl::empty(const std::vector<std::int32_t>& seq_ids) noexcept {
  for (const std::int32_t seq_id : seq_ids) remove(seq_id, 0);
}

void Host::committed() noexcept {
  impl_->empty(impl_->open ? impl_->table.settle() : impl_->table.sweep());
  impl_->open = false;
}

void Host::aborted() noexcept {
  if (impl_->open) impl_->take_back();
  impl_->open = false;
}

std::int32_t Host::n_seq_ids() const noexcept { return impl_->table.n(); }
std::int32_t Host::seq_id_of(SequenceId sequence) const noexcept { return impl_->table.seq_id_of(sequence); }
std::int32_t Host::n_used_seq_ids() const noexcept { return impl_->table.n_used(); }
const HostStatistics& Host::statistics() const noexcept { return impl_->statistics; }

CacheOptions cache_options(const llama_context* context) {
  check_context(context);
  CacheOptions options;
  const auto n_cells = static_cast<std::int32_t>(llama_n_ctx(context));
  options.n_pages = std::max(1, n_cells / options.page_size);
  options.max_position = n_cells;
  options.max_sequences = std::max(1, static_cast<std::int32_t>(llama_n_seq_max(context)) / 2);
  return options;
}

}  // namespace anabranch::llama
