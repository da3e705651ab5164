// The same model through llama.cpp alone: a unified KV cache, one seq_id for each branch, which share the trunk's
// cells.
#include <algorithm>
#include <stdexcept>

#include <llama.h>

#include <anabranch/llama/gguf_model.hpp>

#include "../measure.hpp"
#include "greedy.hpp"
#include "runner.hpp"

namespace anabranch::bench {
namespace {

using llama::GgufModel;

class Llama final : public Runner {
 public:
  Llama(std::shared_ptr<const GgufModel> model, const LlamaSetup& setup, llama_flash_attn_type flash)
      : model_(std::move(model)), vocabulary_(model_->vocabulary().n_tokens()) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = kMaxKeys;
    params.n_batch = 2048;
    params.n_ubatch = static_cast<std::uint32_t>(setup.max_rows);
    params.n_seq_max = kMaxRows + 1;
    params.n_threads = params.n_threads_batch = setup.n_threads;
    params.kv_unified = true;
    params.flash_attn_type = flash;
    params.no_perf = true;
    context_.reset(llama_init_from_model(const_cast<llama_model*>(model_->model()), params));
    if (!context_) throw std::runtime_error("llama.cpp gives no context");
    name_ = "llama.cpp " + setup.type + (flash == LLAMA_FLASH_ATTN_TYPE_ENABLED ? " flash" : "");
    if (setup.max_rows != 512) name_ += " n_ubatch " + std::to_string(setup.max_rows);
  }

  std::string name() const override { return name_; }
  bool ours() const override { return false; }

  void set_trunk(std::int32_t n_keys) override {
    n_branches_ = 0;
    n_keys_ = n_keys;
    llama_memory_clear(memory(), false);
    read_prompt(n_keys);
  }

  void set_branches(std::int32_t n_branches) override {
    for (std::int32_t k = 1; k <= n_branches_; ++k) llama_memory_seq_rm(memory(), k, -1, -1);
    n_branches_ = n_branches;
    for (std::int32_t k = 1; k <= n_branches; ++k) llama_memory_seq_cp(memory(), 0, k, 0, n_keys_);
    decode(1, n_branches, n_keys_);
  }

  PassTime branch_pass() override { return pass(1, n_branches_, n_keys_ + 1); }
  PassTime serial_pass() override { return pass(0, 1, n_keys_); }

  double prefill(std::int32_t n_tokens) override {
    llama_memory_clear(memory(), false);
    n_branches_ = 0;
    return seconds([&] { read_prompt(n_tokens); });
  }

  double limit(std::int32_t, std::int32_t, const Speed&) const override { return 0; }

 private:
  struct Free {
    void operator()(llama_context* context) const noexcept { llama_free(context); }
  };
  llama_memory_t memory() const { return llama_get_memory(context_.get()); }

  void read_prompt(std::int32_t n_tokens) {
    std::vector<llama_token> tokens;
    for (std::int32_t i = 0; i < n_tokens; ++i) tokens.push_back(some_token(i));
    constexpr std::int32_t kBatch = 2048;
    for (std::int32_t begin = 0; begin < n_tokens; begin += kBatch)
      decode(llama_batch_get_one(tokens.data() + begin, std::min(kBatch, n_tokens - begin)));
    taken_ = likeliest({llama_get_logits_ith(context_.get(), -1), static_cast<std::size_t>(vocabulary_)});
  }

  void decode(llama_batch batch) {
    if (llama_decode(context_.get(), batch) != 0) throw std::runtime_error("llama_decode failed");
    llama_synchronize(context_.get());
  }

  /// One token of each seq_id in [first, first + n).
  void decode(llama_seq_id first, std::int32_t n, llama_pos position) {
    tokens_.assign(static_cast<std::size_t>(n), some_token(1));
    positions_.assign(tokens_.size(), position);
    ones_.assign(tokens_.size(), 1);
    wanted_.assign(tokens_.size(), 1);
    ids_.clear();
    lists_.clear();
    for (std::int32_t k = 0; k < n; ++k) ids_.push_back(first + k);
    for (llama_seq_id& id : ids_) lists_.push_back(&id);
    decode({n, tokens_.data(), nullptr, positions_.data(), ones_.data(), lists_.data(), wanted_.data()});
  }

  PassTime pass(llama_seq_id first, std::int32_t n, llama_pos position) {
    PassTime time;
    time.model = seconds([&] { decode(first, n, position); });
    time.with_next =
        time.model + seconds([&] {
          for (std::int32_t i = 0; i < n; ++i)
            taken_ = likeliest({llama_get_logits_ith(context_.get(), i), static_cast<std::size_t>(vocabulary_)});
        });
    for (std::int32_t k = 0; k < n; ++k) llama_memory_seq_rm(memory(), first + k, position, -1);
    return time;
  }

  std::shared_ptr<const GgufModel> model_;
  std::int32_t vocabulary_;
  std::unique_ptr<llama_context, Free> context_;
  std::string name_;
  std::int32_t n_keys_ = 0, n_branches_ = 0;
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<std::int32_t> ones_;
  std::vector<std::int8_t> wanted_;
  std::vector<llama_seq_id> ids_;
  std::vector<llama_seq_id*> lists_;
  volatile llama_token taken_ = 0;
};

}  // namespace

void add_llama(const LlamaSetup& setup, Runners& runners) {
  const auto model = std::make_shared<const GgufModel>(
      GgufModel::load(setup.file, {.n_cells = 256, .n_seq_ids = 1, .n_threads = setup.n_threads}));
  for (const auto flash : {LLAMA_FLASH_ATTN_TYPE_DISABLED, LLAMA_FLASH_ATTN_TYPE_ENABLED})
    runners.push_back(std::make_unique<Llama>(model, setup, flash));
}

}  // namespace anabranch::bench
