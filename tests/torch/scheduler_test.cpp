// SmolLM2 with int8 weights, served by a scheduler from a pool that holds a part of the requests: every token is
// sampled from the same bits as when the request is alone. Skipped, with the reason, without the model.
#include "torch/real_model.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/decode/scheduler.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/skeleton.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
using ab::torch::CausalLm;
using Points = ab::markup::Skeleton<ab::hf::Tokenizer, ab::hf::Tokenizer>;
using PointsDecoder = ab::Decoder<Points, ab::hf::Tokenizer>;

const std::vector<std::string> kAsked{"How can I sleep better?", "Name two uses of salt.", "Why is the sky blue?",
                                      "What helps against stress?", "How do bees find their way home?"};

/// Hashes of all logits that an answer was sampled from, by branch path and place.
using Bits = std::map<std::string, std::size_t>;

/// A cache, a decoder and a model with slots of its own.
struct Host {
  Host(CausalLm& lm, std::int32_t n_pages)
      : model(lm.with_own_slots()),
        cache({.n_pages = n_pages, .page_size = 16}),
        decoder(cache, points(lm), lm.text().tokenizer,
                {.max_rows = 64, .end_of_text = lm.config().eos, .preemptible = true}) {}

  static Points points(const CausalLm& lm) {
    ab::markup::SkeletonOptions outline;
    outline.max_points = 3;
    outline.n_vocabulary = lm.config().vocabulary;
    outline.end_of_text = lm.config().eos;
    return {lm.text().tokenizer, lm.text().tokenizer, outline};
  }

  std::vector<ab::TokenId> prompt(std::size_t question) const {
    const std::vector<ab::hf::Message> messages{{"user", kAsked[question]}};
    return ab::hf::encode_chat(model.text().tokenizer, model.text().chat, messages);
  }
  static ab::RequestOptions options(std::size_t question, Bits& bits) {
    ab::RequestOptions o;
    o.sampling = {.temperature = 0.7f, .seed = question};
    o.max_tokens = 44;
    o.max_branch_tokens = 6;
    o.hook = [&bits](const ab::HookContext& context, std::span<float> logits) {
      std::string place = std::to_string(context.index);
      for (const ab::PathStep step : context.path)
        place += "/" + std::to_string(step.block) + "." + std::to_string(step.branch);
      const std::string_view bytes(reinterpret_cast<const char*>(logits.data()), logits.size_bytes());
      bits[place] = std::hash<std::string_view>()(bytes);
    };
    return o;
  }

  CausalLm model;
  ab::KvCache cache;
  PointsDecoder decoder;
};

struct Alone {
  std::string text;
  Bits bits;
  std::int32_t n_pages = 0;
};

Alone answer_alone(CausalLm& lm, std::size_t question) {
  Host host(lm, 64);
  Alone alone;
  const ab::RequestId id = host.decoder.submit(host.prompt(question), Host::options(question, alone.bits));
  while (host.decoder.has_work()) {
    const auto plan = host.decoder.plan();
    REQUIRE(plan);
    alone.n_pages = std::max(alone.n_pages, host.cache.n_pages() - host.cache.n_free_pages());
    host.decoder.commit(host.model(*plan));
  }
  alone.text = host.decoder.text(id);
  CHECK(host.decoder.statistics(id).n_blocks > 0);
  return alone;
}

}  // namespace

TEST_CASE("int8: 8 schedules on a small pool: texts and logits are those of each request alone, bit for bit") {
  CausalLm* const lm = ab::test::real_model(ab::torch::Weights::int8);
  if (lm == nullptr) return;
  std::vector<Alone> alone;
  std::int32_t n_most = 0;
  for (std::size_t question = 0; question < kAsked.size(); ++question) {
    alone.push_back(answer_alone(*lm, question));
    n_most = std::max(n_most, alone.back().n_pages);
  }
  std::int64_t n_preempted = 0;
  for (std::uint32_t seed = 0; seed < 8; ++seed) {
    INFO("schedule of seed " << seed);
    std::mt19937 random(seed);
    Host host(*lm, n_most + 2);
    ab::Scheduler scheduler(host.decoder, {.target_seconds = seed % 2 == 0 ? 0.0 : 6.0});
    std::vector<Bits> bits(3);
    std::vector<std::pair<std::size_t, ab::RequestId>> asked;
    double now = 0;
    for (std::size_t k = 0; k < bits.size() || scheduler.has_work();) {
      if (k < bits.size() && (k == 0 || random() % 4 == 0)) {
        const std::size_t question = random() % kAsked.size();
        const auto priority = static_cast<std::int32_t>(random() % 3);
        asked.emplace_back(question, scheduler.submit(host.prompt(question), Host::options(question, bits[k]),
                                                      {.priority = priority}));
        ++k;
      }
      const auto plan = scheduler.plan(now);
      if (!plan) {
        REQUIRE(plan.shortage().n_pages == 0);
        continue;
      }
      now += plan->n_rows();  // as if a row took a second
      scheduler.commit(host.model(*plan), now);
    }
    for (std::size_t k = 0; k < asked.size(); ++k) {
      CHECK(host.decoder.text(asked[k].second) == alone[asked[k].first].text);
      CHECK((bits[k] == alone[asked[k].first].bits));
    }
    n_preempted += scheduler.state().n_preempted;
    REQUIRE(host.cache.snapshot().check() == std::vector<std::string>{});
  }
  CHECK(n_preempted > 4);
}
