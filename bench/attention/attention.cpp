// Question: how near to the machine's limit is branch attention, and how much faster is it than what others do?
//
// One decoding step: branches over a shared trunk, one new token each, plan and layout from the real cache. All sides
// in one run, in turns: (a) ggml's flash attention as llama.cpp calls it on its unified cache, (b) LibTorch's attention
// in one call with a dense mask, (c) LibTorch's flash attention with every branch alone over a copy of the trunk. The
// limit is the larger of two times: reading K and V once (r), multiplying for all rows (c), at the speeds measured
// beside. K and V of a layer come from memory, not from a cache: a run goes through several layers.
//
//   bench/run attention --quick          the shape of the bars: trunk of 16,384, heads of 128, 1 and 8 branches
//   bench/run attention                  everything: some ten minutes
//   ANABRANCH_SIMD=avx2 bench/run attention --quick          our kernels, LibTorch and the limit without AVX-512
//   bench/run attention --heads 9/3/64 --trunk 4096 --branches 8,2x4 --threads 2 --elements bfloat16,int8
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/simd.hpp>

#include "comparison.hpp"

namespace {

using namespace anabranch::bench;
using anabranch::attention::Element;
using anabranch::attention::HeadShape;

const std::map<std::string, HeadShape> kHeads = {{"28/4/128", {28, 4, 128}}, {"9/3/64", {9, 3, 64}}};
const std::map<std::string, Element> kElements = {{"float32", Element::float32},
                                                  {"bfloat16", Element::bfloat16},
                                                  {"float16", Element::float16},
                                                  {"int8", Element::int8}};

struct Options {
  std::vector<std::string> heads = {"28/4/128", "9/3/64"};
  std::vector<std::int32_t> trunks = {512, 4096, 16384, 65536};
  std::vector<std::string> branches = {"1", "2", "4", "8", "16", "2x4", "4x4"};
  std::vector<int> threads = {1, 2};
  std::vector<std::string> elements = {"bfloat16"};
  double max_copies = 3.0;  // GB
  Effort effort;
};

ProblemShape shape_of(const std::string& heads, std::int32_t trunk, const std::string& branches) {
  ProblemShape shape{.heads = kHeads.at(heads), .trunk = trunk};
  const std::size_t x = branches.find('x');
  shape.outer = std::stoi(branches.substr(0, x));
  if (x != std::string::npos) shape.inner = std::stoi(branches.substr(x + 1));
  return shape;
}

/// Holds LibTorch to the instruction set that ANABRANCH_SIMD allows our kernels; it reads these variables when it
/// computes for the first time. ggml cannot be held to it: it is compiled for this machine.
void hold_torch_to_our_instructions() {
  if (anabranch::simd::in_use() != "AVX2") return;
  setenv("ATEN_CPU_CAPABILITY", "avx2", 1);
  setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2", 1);
}

bool is(const Comparison& c, std::int32_t head_dim, std::int32_t trunk, const char* branches, int n_threads) {
  return c.shape.heads.head_dim == head_dim && c.shape.trunk == trunk && c.shape.branches() == branches &&
         c.n_threads == n_threads;
}

void bar(const char* what, double value, bool holds, const char* wanted) {
  std::printf("  %-64s %6.2fx   bar %s: %s\n", what, value, wanted, holds ? "holds" : "MISSED");
}

void print_bars(const std::vector<Comparison>& all) {
  std::printf("\nbars\n");
  const bool avx512 = kernels_use_avx512();
  for (const Comparison& c : all) {
    const Timed* ours = c.find(Kind::ours, Element::bfloat16);
    if (ours == nullptr) continue;
    if (is(c, 128, 16384, "8", 2)) {
      const double limit = over_limit(*ours).min, ggml = ratio(*c.best(Kind::ggml), *ours).median;
      bar("16384 x 8, bfloat16, 2 threads: best / limit", limit, limit <= 1.6, "1.60 at most");
      bar("  faster than ggml", ggml, ggml >= (avx512 ? 8 : 3), avx512 ? "8 at least" : "3 at least");
      const double dense = ratio(*c.best(Kind::torch_dense), *ours).median;
      bar("  faster than torch with a dense mask", dense, dense >= 1.3, "1.30 at least");
    }
    if (is(c, 128, 16384, "1", 2))
      bar("16384 x 1: best / limit", over_limit(*ours).min, over_limit(*ours).min <= 1.8, "1.80 at most");
  }
  for (const Comparison& c : all) {
    const Timed* ours = c.find(Kind::ours, Element::bfloat16);
    const Timed* alone = c.best(Kind::torch_by_branch);
    if (ours == nullptr || alone == nullptr) continue;
    const double faster = ratio(*alone, *ours).median;
    if (faster >= 1 / 1.1) continue;
    const std::string what = "slower than torch by branch: heads of " + std::to_string(c.shape.heads.head_dim) + ", " +
                             std::to_string(c.shape.trunk) + " x " + c.shape.branches() + ", threads " +
                             std::to_string(c.n_threads);
    bar(what.c_str(), faster, false, "0.91 at least");
  }
}

void print_headline(const std::vector<Comparison>& all) {
  for (const Comparison& c : all) {
    if (!is(c, 128, 16384, "8", 2)) continue;
    if (const Timed* ours = c.find(Kind::ours, Element::bfloat16)) {
      const Spread s = over_limit(*ours);
      std::printf("attention: %.2f x the limit, 16384 keys x 8 branches, bfloat16, 2 threads (%.2f..%.2f)\n", s.median,
                  s.min, s.max);
    }
  }
}

std::vector<Comparison> measure(const Options& options, Machine& machine) {
  std::vector<Element> elements;
  for (const std::string& name : options.elements) elements.push_back(kElements.at(name));
  std::vector<Comparison> all;
  for (const std::string& heads : options.heads)
    for (const std::int32_t trunk : options.trunks)
      for (const std::string& branches : options.branches) {
        const Problem problem(shape_of(heads, trunk, branches));
        Sides sides;
        add_ours(problem, elements, sides);
        add_ggml(problem, sides);
        add_torch(problem, static_cast<std::size_t>(options.max_copies * 1e9), sides);
        const std::vector<float> reference = dense_reference(problem);
        for (const int n_threads : options.threads) {
          all.push_back(compare(problem, sides, reference, machine, n_threads, options.effort));
          all.back().print();
        }
      }
  return all;
}

int run(int argc, char** argv) {
  Options options;
  bool quick = false;
  CLI::App app("How near to the machine's limit is branch attention, and how much faster than what others do?");
  app.add_flag("--quick", quick, "only the shape of the bars, 2 threads");
  app.add_option("--heads", options.heads, "query/KV heads/size")->delimiter(',')->check(CLI::IsMember(kHeads));
  app.add_option("--trunk", options.trunks, "tokens of the trunk")->delimiter(',')->check(CLI::Range(1, 1 << 20));
  app.add_option("--branches", options.branches, "number, or OUTERxINNER for nested ones")->delimiter(',');
  app.add_option("--threads", options.threads, "1 or the number of cores")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--elements", options.elements, "types of K and V on our side")
      ->delimiter(',')
      ->check(CLI::IsMember(kElements));
  app.add_option("--rounds", options.effort.max_rounds, "most rounds per shape")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", options.effort.seconds, "time per shape, past the fewest rounds")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-copies", options.max_copies, "GB of copied K and V, past which torch by branch is left out")
      ->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.heads = {"28/4/128"};
    options.trunks = {16384};
    options.branches = {"1", "8"};
    options.threads = {2};
  }
  options.effort.min_rounds = std::min(options.effort.min_rounds, options.effort.max_rounds);
  hold_torch_to_our_instructions();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Machine machine;
  std::printf(
      "How near to the machine's limit is branch attention, and how much faster than what others do?\n"
      "machine: %s; our kernels use %s; %d to %d rounds\n",
      processor().c_str(), std::string(anabranch::simd::in_use()).c_str(), options.effort.min_rounds,
      options.effort.max_rounds);
  const std::vector<Comparison> all = measure(options, machine);
  std::printf("\n");
  machine.print();
  print_bars(all);
  print_headline(all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
