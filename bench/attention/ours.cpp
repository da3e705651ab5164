#include <omp.h>

#include <anabranch/attention/branch_attention.hpp>

#include "side.hpp"

namespace anabranch::bench {
namespace {

using attention::BranchAttention;
using attention::Element;

const char* name_of(Element element) {
  switch (element) {
    case Element::float32: return "float32";
    case Element::bfloat16: return "bfloat16";
    case Element::float16: return "float16";
    case Element::int8: return "int8";
  }
  return "";
}

/// OpenMP's threads run the other sides too: a pool of other threads would spin beside them.
void run_parallel(void* user, std::int32_t n, ParallelFor::Task task, void* body) {
  const int n_threads = *static_cast<const int*>(user);
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
  for (std::int32_t i = 0; i < n; ++i) task(body, i);
}

class Ours final : public Side {
 public:
  Ours(const Problem& problem, Element element) : problem_(problem), element_(element), attention_(problem.heads()) {
    const auto n_kv =
        static_cast<std::size_t>(problem.n_slots()) * static_cast<std::size_t>(problem.heads().kv_width());
    const std::size_t bytes = n_kv * attention::element_size(element);
    const std::size_t n_scales = static_cast<std::size_t>(problem.n_slots() * problem.heads().kv_heads);
    n_layers_ = layers_of(2 * bytes);
    for (int i = 0; i < n_layers_; ++i) {
      Layer& layer = layers_.emplace_back();
      layer.keys = BigArray<std::byte>(bytes);
      layer.values = BigArray<std::byte>(bytes);
      if (element == Element::int8) layer.scales.resize(2 * n_scales);
      layer.kv = attention::make_kv_tensors(problem.heads(), element, attention::KvLayout::head_major,
                                            problem.n_slots(), layer.keys.get(), layer.values.get(),
                                            layer.scales.data(), layer.scales.data() + layer.scales.size() / 2);
      store(layer.kv);
    }
    out_.resize(problem.queries().size());
    const StepPlan& plan = problem.plan();
    attention_.plan(plan.groups, plan.views, plan.n_rows());
  }

  Kind kind() const override { return Kind::ours; }
  std::string name() const override { return std::string("anabranch ") + name_of(element_); }
  Element element() const override { return element_; }
  int n_layers() const override { return n_layers_; }

  void set_threads(int n_threads) override {
    n_threads_ = n_threads;
    workspace_.resize(attention_.workspace_bytes(n_threads));
  }

  /// The plan is made once for all layers, and its time counts.
  void run() override {
    const StepPlan& plan = problem_.plan();
    attention_.plan(plan.groups, plan.views, plan.n_rows());
    const std::int64_t width = problem_.heads().q_width();
    const attention::Rows rows{
        .queries = problem_.queries().data(), .query_stride = width, .out = out_.data(), .out_stride = width};
    const ParallelFor parallel(run_parallel, &n_threads_, n_threads_);
    for (const Layer& layer : layers_) attention_.run(rows, layer.kv, workspace_, parallel);
  }

  std::vector<float> result() override { return out_; }

 private:
  struct Layer {
    BigArray<std::byte> keys, values;
    std::vector<float> scales;
    attention::KvTensors kv;
  };

  void store(const attention::KvTensors& kv) const {
    std::vector<Slot> slots(static_cast<std::size_t>(problem_.n_slots()));
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<Slot>(i);
    attention::store_rows(problem_.keys().get(), problem_.values().get(), problem_.heads().kv_width(), slots,
                          problem_.heads(), kv);
  }

  const Problem& problem_;
  Element element_;
  BranchAttention attention_;
  int n_layers_ = 0, n_threads_ = 1;
  std::vector<Layer> layers_;
  std::vector<std::byte> workspace_;
  std::vector<float> out_;
};

}  // namespace

void add_ours(const Problem& problem, std::span<const Element> elements, Sides& sides) {
  for (const Element element : elements) sides.push_back(std::make_unique<Ours>(problem, element));
}

}  // namespace anabranch::bench
