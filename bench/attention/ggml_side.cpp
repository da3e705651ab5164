// ggml's flash attention as llama.cpp calls it: K and V in float16, one token's heads side by side, in cells of a
// unified cache padded to 256; a float16 mask over all of them; all layers in one graph.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include <ggml-cpu.h>
#include <ggml.h>

#include "side.hpp"

namespace anabranch::bench {
namespace {

constexpr std::int64_t kCellPadding = 256;

class Ggml final : public Side {
 public:
  explicit Ggml(const Problem& problem) : problem_(problem) {
    const auto n_seen = static_cast<std::int64_t>(problem.seen().size());
    n_cells_ = (n_seen + kCellPadding - 1) / kCellPadding * kCellPadding;
    const std::size_t bytes = 2 * static_cast<std::size_t>(n_cells_ * problem.heads().kv_width()) * sizeof(ggml_fp16_t);
    n_layers_ = layers_of(bytes);
    const std::size_t rest = static_cast<std::size_t>(n_cells_ * problem.n_rows()) * sizeof(ggml_fp16_t) +
                             static_cast<std::size_t>(n_layers_ + 1) * problem.queries().size() * sizeof(float);
    memory_ =
        BigArray<std::byte>(static_cast<std::size_t>(n_layers_) * (bytes + 16384) + rest + (std::size_t{4} << 20));
    ggml_cpu_init();
    context_.reset(ggml_init({memory_.size(), memory_.get(), false}));
    build();
  }

  Kind kind() const override { return Kind::ggml; }
  std::string name() const override { return "ggml flash attention float16"; }
  attention::Element element() const override { return attention::Element::float16; }
  int n_layers() const override { return n_layers_; }

  void set_threads(int n_threads) override {
    plan_ = ggml_graph_plan(graph_, n_threads, nullptr);
    work_.resize(plan_.work_size);
    plan_.work_data = work_.data();
  }

  void run() override {
    if (ggml_graph_compute(graph_, &plan_) != GGML_STATUS_SUCCESS) throw std::runtime_error("ggml failed");
  }

  std::vector<float> result() override {
    std::vector<float> out(problem_.queries().size());
    std::memcpy(out.data(), last_->data, out.size() * sizeof(float));
    return out;
  }

 private:
  struct Free {
    void operator()(ggml_context* context) const noexcept { ggml_free(context); }
  };

  void build() {
    const attention::HeadShape& heads = problem_.heads();
    ggml_context* c = context_.get();
    ggml_tensor* rows = ggml_new_tensor_3d(c, GGML_TYPE_F32, heads.head_dim, heads.query_heads, problem_.n_rows());
    std::memcpy(rows->data, problem_.queries().data(), problem_.queries().size() * sizeof(float));
    ggml_tensor* queries = ggml_permute(c, rows, 0, 2, 1, 3);
    ggml_tensor* mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, n_cells_, problem_.n_rows());
    fill_mask(mask);
    const float scale = 1.0f / std::sqrt(static_cast<float>(heads.head_dim));
    graph_ = ggml_new_graph_custom(c, static_cast<std::size_t>(8 * n_layers_ + 8), false);
    ggml_tensor* first_keys = nullptr;
    ggml_tensor* first_values = nullptr;
    for (int i = 0; i < n_layers_; ++i) {
      ggml_tensor* keys = cells(problem_.keys(), first_keys);
      ggml_tensor* values = cells(problem_.values(), first_values);
      last_ = ggml_flash_attn_ext(c, queries, by_head(keys), by_head(values), mask, scale, 0.0f, 0.0f);
      ggml_prec_set_acc(last_, GGML_PREC_F32);
      ggml_build_forward_expand(graph_, last_);
    }
  }

  /// [kv_width, n_cells] in float16, from slots [n_slots, kv_width]; copied from `first` where that is there.
  ggml_tensor* cells(const BigArray<float>& from, ggml_tensor*& first) const {
    const std::int64_t width = problem_.heads().kv_width();
    ggml_tensor* tensor = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, width, n_cells_);
    if (first != nullptr) {
      std::memcpy(tensor->data, first->data, ggml_nbytes(first));
      return tensor;
    }
    first = tensor;
    std::memset(tensor->data, 0, ggml_nbytes(tensor));
    auto* out = static_cast<ggml_fp16_t*>(tensor->data);
    for (const Slot slot : problem_.seen()) {
      ggml_fp32_to_fp16_row(from.get() + slot * width, out, width);
      out += width;
    }
    return tensor;
  }

  ggml_tensor* by_head(ggml_tensor* cells) const {
    const attention::HeadShape& heads = problem_.heads();
    const std::size_t head = ggml_row_size(cells->type, heads.head_dim);
    ggml_tensor* view =
        ggml_view_3d(context_.get(), cells, heads.head_dim, heads.kv_heads, n_cells_, head, cells->nb[1], 0);
    return ggml_permute(context_.get(), view, 0, 2, 1, 3);
  }

  void fill_mask(ggml_tensor* mask) const {
    auto* out = static_cast<ggml_fp16_t*>(mask->data);
    const std::size_t n_seen = problem_.seen().size();
    const ggml_fp16_t hidden = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
    std::fill_n(out, n_cells_ * problem_.n_rows(), hidden);
    for (std::int32_t row = 0; row < problem_.n_rows(); ++row)
      ggml_fp32_to_fp16_row(problem_.mask().data() + static_cast<std::size_t>(row) * n_seen, out + row * n_cells_,
                            static_cast<std::int64_t>(n_seen));
  }

  const Problem& problem_;
  std::int64_t n_cells_ = 0;
  int n_layers_ = 0;
  BigArray<std::byte> memory_;
  std::unique_ptr<ggml_context, Free> context_;
  ggml_cgraph* graph_ = nullptr;
  ggml_cplan plan_{};
  std::vector<std::uint8_t> work_;
  ggml_tensor* last_ = nullptr;
};

}  // namespace

void add_ggml(const Problem& problem, Sides& sides) { sides.push_back(std::make_unique<Ggml>(problem)); }

}  // namespace anabranch::bench
