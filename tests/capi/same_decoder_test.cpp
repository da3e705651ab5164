// The decoder through the C ABI beside the decoder in C++: the same requests, the same logits, and everything that
// either of them tells is compared, pass by pass.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/random.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

#include "anabranch.h"
#include "anabranch_decoder.h"

#include "catch.hpp"

namespace ab = anabranch;
using ab::TokenId;
using Tokens = std::vector<TokenId>;

namespace {

constexpr TokenId kEnd = 0;
constexpr std::int32_t kVocabulary = 128;
constexpr std::uint64_t kIds = (std::uint64_t{1} << 40) - 1;  // the part of a request's name that counts

// ---- Text: a token is a byte ----

struct Bytes {
  void operator()(std::span<const TokenId> tokens, std::string& out) const { out.append(tokens.begin(), tokens.end()); }
  Tokens operator()(std::string_view text) const { return {text.begin(), text.end()}; }
};
std::int32_t to_text(const anb_token* tokens, std::int32_t n, char* out, std::int32_t capacity, void*) {
  for (std::int32_t i = 0; i < n && i < capacity; ++i) out[i] = static_cast<char>(tokens[i]);
  return n;
}
std::int32_t to_tokens(const char* text, std::int32_t n, anb_token* out, std::int32_t capacity, void*) {
  for (std::int32_t i = 0; i < n && i < capacity; ++i) out[i] = text[i];
  return n;
}

// ---- Logits by rule: what is likely depends on seed, row and the pass' tokens alone ----

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 32);
}
const std::string kLikely = std::string("((((()))){{{]]]]]aaaaabcde**\n\n ..", 34) + '\0';

std::vector<float> logits(std::uint64_t seed, const anb_plan& plan) {
  std::vector<float> values(static_cast<std::size_t>(plan.n_outputs) * kVocabulary, -20.0f);
  for (std::int32_t i = 0; i < plan.n_outputs; ++i) {
    const std::int32_t row = plan.outputs[i].row;
    const auto token = static_cast<std::uint64_t>(plan.tokens[row]);
    const auto position = static_cast<std::uint64_t>(plan.positions[row]);
    for (std::uint64_t k = 0; k < 12; ++k) {
      const std::uint64_t h = mix(seed * 1000003 + token * 8191 + position * 131 + k);
      values[static_cast<std::size_t>(i) * kVocabulary + static_cast<std::size_t>(kLikely[h % kLikely.size()])] =
          static_cast<float>(h >> 40) / 4e6f;
    }
  }
  return values;
}

// ---- Both sides ----

struct Settings {
  ab::DecoderOptions decoder;
  ab::CacheOptions cache;
  ab::RequestOptions request;
};

Settings random_settings(std::uint64_t seed) {
  Settings s;
  std::uint64_t n = 0;
  const auto pick = [&](std::uint64_t choices) { return static_cast<std::int32_t>(mix(seed * 77 + n++) % choices); };
  s.cache.n_pages = 40 + pick(200);
  s.cache.page_size = 1 + pick(8);
  s.cache.max_position = 100 + pick(400);
  s.cache.share_tail = pick(2) == 0 ? ab::ShareTail::spare : ab::ShareTail::never;
  s.decoder.max_branches = 1 + pick(4);
  s.decoder.max_tokens = 20 + pick(120);
  s.decoder.max_branch_tokens = 3 + pick(20);
  s.decoder.max_depth = pick(4);
  s.decoder.max_rows = 2 + pick(40);
  const std::int32_t policy = pick(3);
  s.decoder.positions = policy == 0   ? ab::Positions::sequential
                        : policy == 1 ? ab::Positions::longest
                                      : ab::Positions::reserved(30 + pick(20));
  s.decoder.end_of_text = {kEnd};
  s.request.sampling.temperature = pick(3) == 0 ? 0.0f : 0.8f;
  s.request.sampling.top_k = pick(2) * 5;
  s.request.sampling.top_p = pick(2) == 0 ? 1.0f : 0.9f;
  s.request.sampling.repetition_penalty = pick(2) == 0 ? 1.0f : 1.3f;
  s.request.no_repeat_ngram = pick(2) * (1 + pick(4));
  s.request.sampling.min_p = pick(3) == 0 ? 0.05f : 0.0f;
  s.request.sampling.frequency_penalty = pick(3) == 0 ? 0.4f : 0.0f;
  s.request.sampling.presence_penalty = pick(3) == 0 ? -0.3f : 0.0f;
  s.request.sampling.number = static_cast<std::uint64_t>(pick(3));
  if (pick(3) == 0) s.request.logit_bias = {{'e', 0.7f}, {'b', -1.5f}};
  if (pick(4) == 0) s.request.stop_tokens = {'j', 'k'};
  s.request.sampling.seed = seed;
  s.request.n_log_probabilities = pick(4) - 1;
  s.request.max_parallel_branches = pick(3) == 0 ? ab::kNone : 1 + pick(3);
  if (pick(3) == 0) s.request.stop = {"ab", "cd."};
  s.decoder.draft = pick(2) == 0;
  return s;
}

anb_positions to_c(const ab::Positions& positions) {
  if (positions == ab::Positions::sequential) return ANB_POSITIONS_SEQUENTIAL;
  if (positions == ab::Positions::longest) return ANB_POSITIONS_LONGEST;
  return ANB_POSITIONS_RESERVED(static_cast<std::int32_t>(positions.end(0, 0)));
}

/// The C side: everything set through the C structs.
struct CSide {
  CSide(const Settings& s, const char* name) : stop(s.request.stop) {
    anb_cache_options co = ANB_CACHE_OPTIONS_INIT;
    co.n_pages = s.cache.n_pages;
    co.page_size = s.cache.page_size;
    co.max_position = s.cache.max_position;
    co.share_tail = s.cache.share_tail == ab::ShareTail::never ? ANB_SHARE_TAIL_NEVER : ANB_SHARE_TAIL_SPARE;
    REQUIRE(anb_cache_create(&co, &cache) == ANB_OK);
    anb_text text = ANB_TEXT_INIT;
    text.detokenize = to_text;
    text.text_to_tokens = to_tokens;
    const anb_token colon = ':';
    anb_markup markup = ANB_MARKUP_INIT;
    markup.name = name;
    markup.branch = '[', markup.branch_end = ']', markup.title = '(', markup.title_end = ')';
    markup.para = '{', markup.para_end = '}';
    markup.title_separator = &colon;
    markup.n_title_separator = 1;
    markup.n_vocabulary = kVocabulary;
    markup.max_points = 3;
    markup.go_on = 1;
    markup.unique_titles = 1;
    markup.max_titles = 3;
    markup.well_formed = 1;
    anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
    o.max_branches = s.decoder.max_branches;
    o.max_tokens = s.decoder.max_tokens;
    o.max_branch_tokens = s.decoder.max_branch_tokens;
    o.max_depth = s.decoder.max_depth;
    o.max_rows = s.decoder.max_rows;
    o.positions = to_c(s.decoder.positions);
    o.draft = s.decoder.draft ? 1 : 0;
    o.end_of_text = s.decoder.end_of_text.data();
    o.n_end_of_text = static_cast<std::int32_t>(s.decoder.end_of_text.size());
    o.markup = &markup;
    o.text = &text;
    REQUIRE(anb_decoder_create(cache, &o, &decoder) == ANB_OK);
  }
  ~CSide() {
    anb_decoder_destroy(decoder);
    CHECK(anb_cache_check(cache) == ANB_OK);
    anb_cache_destroy(cache);
  }
  anb_request submit(const Tokens& prompt, const ab::RequestOptions& from) {
    std::vector<const char*> texts;
    for (const std::string& one : stop) texts.push_back(one.c_str());
    anb_request_options o = ANB_REQUEST_OPTIONS_INIT;
    const ab::Sampling sampling = from.sampling.or_else();
    std::vector<anb_logit_bias> biases;
    for (const ab::LogitBias& bias : from.logit_bias) biases.push_back({bias.token, bias.bias});
    o.temperature = sampling.temperature;
    o.top_k = sampling.top_k;
    o.top_p = sampling.top_p;
    o.min_p = sampling.min_p;
    o.repetition_penalty = sampling.repetition_penalty;
    o.frequency_penalty = sampling.frequency_penalty;
    o.presence_penalty = sampling.presence_penalty;
    o.number = sampling.number;
    o.logit_bias = biases.data();
    o.n_logit_bias = static_cast<std::int32_t>(biases.size());
    o.stop_tokens = from.stop_tokens.data();
    o.n_stop_tokens = static_cast<std::int32_t>(from.stop_tokens.size());
    o.no_repeat_ngram = from.no_repeat_ngram;
    o.n_log_probabilities = from.n_log_probabilities;
    o.max_parallel_branches = from.max_parallel_branches;
    o.seed = from.sampling.seed;
    o.stop = texts.data();
    o.n_stop = static_cast<std::int32_t>(texts.size());
    anb_request request = 0;
    REQUIRE(anb_decoder_submit(decoder, prompt.data(), static_cast<std::int32_t>(prompt.size()), &o, &request) ==
            ANB_OK);
    return request;
  }
  anb_cache* cache = nullptr;
  anb_decoder* decoder = nullptr;
  std::vector<std::string> stop;
};

template <class A, class B>
bool same(A a, B b) {
  return a == static_cast<A>(b);
}
bool same_float(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

bool same_plan(const anb_plan& c, const ab::StepPlan& plan) {
  bool good = c.n_rows == plan.n_rows() && same(c.n_outputs, plan.outputs.size()) &&
              same(c.n_groups, plan.groups.size()) && same(c.n_views, plan.views.size()) &&
              same(c.n_ops_before, plan.ops_before.size()) &&
              same(c.n_ops_after_commit, plan.ops_after_commit.size()) && c.n_slots == plan.n_slots;
  for (std::size_t i = 0; good && i < plan.tokens.size(); ++i)
    good = c.tokens[i] == plan.tokens[i] && c.positions[i] == plan.positions[i] && c.slots[i] == plan.slots[i] &&
           static_cast<std::uint32_t>(c.sequences[i]) == plan.sequences[i].index;
  for (std::size_t i = 0; good && i < plan.outputs.size(); ++i)
    good = c.outputs[i].row == plan.outputs[i].row &&
           static_cast<std::uint32_t>(c.outputs[i].sequence) == plan.outputs[i].sequence.index;
  for (std::size_t i = 0; good && i < plan.groups.size(); ++i)
    good = c.groups[i].row_begin == plan.groups[i].row_begin && c.groups[i].row_end == plan.groups[i].row_end &&
           c.groups[i].n_keys == plan.groups[i].n_keys &&
           same(c.groups[i].visibility, static_cast<int>(plan.groups[i].visibility));
  return good;
}

bool same_settings(const anb_output_settings& c, const ab::OutputSettings& s) {
  const auto list = [](const anb_token* tokens, std::int32_t n, std::span<const TokenId> other) {
    return same(n, other.size()) && std::equal(other.begin(), other.end(), tokens);
  };
  return c.branch == s.branch && (c.request & kIds) == static_cast<std::uint64_t>(s.request) && c.index == s.index &&
         c.temperature == s.sampling.temperature && c.top_k == s.sampling.top_k && c.top_p == s.sampling.top_p &&
         c.min_p == s.sampling.min_p && c.frequency_penalty == s.sampling.frequency_penalty &&
         c.presence_penalty == s.sampling.presence_penalty && same(c.n_logit_bias, s.logit_bias.size()) &&
         std::equal(
             s.logit_bias.begin(), s.logit_bias.end(), c.logit_bias,
             [](const ab::LogitBias& a, const anb_logit_bias& b) { return a.token == b.token && a.bias == b.bias; }) &&
         c.repetition_penalty == s.sampling.repetition_penalty && c.uniform == ab::uniform(s.stream, s.index) &&
         list(c.allowed, c.n_allowed, s.allowed) && list(c.forbidden, c.n_forbidden, s.forbidden) &&
         list(c.seen, c.n_seen, s.seen) && list(c.spared, c.n_spared, s.spared);
}

bool same_event(const anb_event& c, const ab::Event& e) {
  bool good = c.kind == static_cast<int>(e.kind) && c.branch == e.branch && c.token == e.token &&
              c.role == static_cast<int>(e.role) && c.reason == static_cast<int>(e.reason) &&
              c.first_branch == e.first_branch && c.n_branches == e.n_branches && same(c.n_text, e.text.size()) &&
              e.text == std::string(c.text, c.n_text) && same(c.n_top, e.top.size()) &&
              same_float(c.log_probability, e.log_probability);
  if (e.kind == ab::Event::Kind::token) good = good && (c.forced == 1) == (e.source == ab::Source::forced);
  for (std::size_t i = 0; good && i < e.top.size(); ++i)
    good = c.top[i].token == e.top[i].token && c.top[i].log_probability == e.top[i].log_probability;
  return good;
}

template <class Decoder>
void compare_request(const CSide& c, anb_request request, const Decoder& cpp, ab::RequestId id) {
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  REQUIRE(anb_decoder_get_request(c.decoder, request, &s) == ANB_OK);
  const ab::Statistics& t = cpp.statistics(id);
  CHECK(s.reason == static_cast<int>(cpp.reason(id)));
  CHECK(s.n_branches == cpp.n_branches(id));
  const std::vector<std::int32_t> told = {s.n_blocks,    s.n_serial, s.n_branch,  s.n_title,
                                          s.n_tag,       s.n_prompt, s.n_sampled, s.n_forced,
                                          s.n_forgotten, s.n_passes, s.n_prefill, s.n_serial_passes};
  CHECK(told == std::vector<std::int32_t>{t.n_blocks, t.n_serial, t.n_branch, t.n_title, t.n_tag, t.n_prompt,
                                          t.n_sampled, t.n_forced, t.n_forgotten, t.n_passes, t.n_prefill,
                                          t.n_serial_passes()});
  for (std::int32_t branch = 0; branch <= s.n_branches; ++branch) {
    anb_branch_state b = ANB_BRANCH_STATE_INIT;
    REQUIRE(anb_decoder_get_branch(c.decoder, request, branch, &b) == ANB_OK);
    const ab::Branch report = cpp.branch(id, branch);
    CHECK(std::string(b.text, b.n_text) == report.text);
    CHECK(std::string(b.title, b.n_title) == report.title);
    CHECK(b.reason == static_cast<int>(report.reason));
    CHECK(static_cast<std::uint32_t>(b.sequence) == report.sequence.index);
    REQUIRE(same(b.n_path, report.path.size()));
    for (std::size_t i = 0; i < report.path.size(); ++i)
      CHECK((b.path[i].block == report.path[i].block && b.path[i].branch == report.path[i].branch));
  }
}

/// Both decoders with the same requests.
template <class Markup>
struct Both {
  Both(std::uint64_t seed_, const char* name, Markup markup)
      : seed(seed_),
        settings(random_settings(seed)),
        cache(settings.cache),
        cpp(cache, std::move(markup), Bytes{}, settings.decoder),
        c(settings, name) {}

  void submit(const Tokens& prompt) {
    requests.emplace_back(c.submit(prompt, settings.request), cpp.submit(prompt, settings.request));
  }
  void cancel(std::size_t i) {
    REQUIRE(anb_decoder_cancel(c.decoder, requests[i].first) == ANB_OK);
    cpp.cancel(requests[i].second);
  }
  void compare_requests() const {
    for (const auto& [request, id] : requests) compare_request(c, request, cpp, id);
  }

  /// False: nothing is left to do.
  bool pass() {
    anb_plan plan = ANB_PLAN_INIT;
    const anb_status status = anb_decoder_plan(c.decoder, &plan);
    const ab::DecoderPlan planned = cpp.plan();
    REQUIRE((status == ANB_OK) == static_cast<bool>(planned));
    if (status == ANB_NOTHING_TO_DO) return false;
    if (status == ANB_NO_ROOM) {
      REQUIRE(plan.n_pages_short == planned.shortage().n_pages);
      REQUIRE(plan.n_pages_free == planned.shortage().n_free);
      for (std::size_t i = requests.size(); i-- > 0;)  // the newest that runs gives way
        if (cpp.reason(requests[i].second) == ab::EndReason::none)
          return cancel(i), compare_events(cpp.take_events()), true;
    }
    REQUIRE(status == ANB_OK);
    compare_plan(plan, planned);
    const std::vector<float> values = logits(seed, plan);
    REQUIRE(anb_decoder_commit(c.decoder, values.data(), plan.n_outputs, kVocabulary) == ANB_OK);
    compare_events(cpp.commit({values.data(), plan.n_outputs, kVocabulary}));
    return true;
  }
  void compare_plan(const anb_plan& plan, const ab::DecoderPlan& planned) {
    REQUIRE(same_plan(plan, *planned));
    for (std::int32_t i = 0; i < plan.n_outputs; ++i) {
      anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
      REQUIRE(anb_decoder_get_output(c.decoder, i, &s) == ANB_OK);
      REQUIRE(same_settings(s, planned.output_settings()[static_cast<std::size_t>(i)]));
    }
  }
  void compare_events(std::span<const ab::Event> events) {
    anb_event e = ANB_EVENT_INIT;
    for (const ab::Event& event : events) {
      REQUIRE(anb_decoder_next_event(c.decoder, &e) == ANB_OK);
      REQUIRE(same_event(e, event));
      REQUIRE((e.request & kIds) == static_cast<std::uint64_t>(event.request));
    }
    REQUIRE(anb_decoder_next_event(c.decoder, &e) == ANB_NOTHING_TO_DO);
  }

  std::uint64_t seed;
  Settings settings;
  ab::KvCache cache;
  ab::Decoder<Markup, Bytes> cpp;
  CSide c;
  std::vector<std::pair<anb_request, ab::RequestId>> requests;
};

/// One seed: three requests, one of them cancelled midway. Returns how many branches there were.
template <class Markup>
std::int32_t compare(std::uint64_t seed, const char* name, Markup markup) {
  INFO("seed " << seed << ", markup " << name);
  Both<Markup> both(seed, name, std::move(markup));
  both.submit({'x', 'y', 'z'});
  both.submit(Tokens(25, 'p'));
  for (int n = 0; both.pass(); ++n) {
    REQUIRE(n < 2000);
    if (n == 5) both.submit({'q'});
    if (n == 20) {
      both.cancel(0);
      both.compare_events(both.cpp.take_events());
    }
    if (n % 7 == 0) both.compare_requests();
  }
  both.compare_requests();
  std::int32_t n_branches = 0;
  for (const auto& [request, id] : both.requests) n_branches += both.cpp.n_branches(id);
  return n_branches;
}

ab::markup::SkeletonOptions skeleton_options() {
  ab::markup::SkeletonOptions o;
  o.max_points = 3;
  o.after = ab::markup::AfterPoints::go_on;
  o.n_vocabulary = kVocabulary;
  o.end_of_text = {kEnd};
  return o;
}

}  // namespace

TEST_CASE("through C the decoder does what it does in C++, pass by pass") {
  std::int32_t n_aspd = 0, n_skeleton = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    n_aspd += compare(
        seed, "aspd",
        ab::markup::Aspd(
            {'[', ']', '(', ')', '{', '}', {':'}, {'\n'}},
            {.unique_titles = true, .well_formed = true, .max_titles = 3, .end_of_text = {kEnd}, .text = Bytes()}));
    n_skeleton += compare(seed, "skeleton", ab::markup::Skeleton<Bytes, Bytes>({}, {}, skeleton_options()));
    CHECK(compare(seed, "serial", ab::markup::Serial{}) == 0);
  }
  CHECK(n_aspd > 40);
  CHECK(n_skeleton > 40);
}
