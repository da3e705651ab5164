// Types that do not satisfy a concept: the compiler names it before anything else.
#include <anabranch/decode/request_loop.hpp>
#include <anabranch/markup/serial.hpp>

namespace ab = anabranch;

struct Text {
  void operator()(std::span<const ab::TokenId>, std::string&) const {}
};
struct Runner {
  ab::LogitsView operator()(const ab::StepPlan&) { return {}; }
};
struct Policy : ab::Positions {};
struct Nothing {};

void all_right(ab::KvCache& cache, Runner& model) {
  ab::Decoder decoder(cache, ab::markup::Serial{}, Text{});
  const ab::Decoder sampling{cache, ab::markup::Serial{}, Text{}, {.max_branches = 2}, ab::Sampler{}};
  const ab::GenerateOptions options;
  const ab::RequestLoop loop(model, cache, decoder, options);
}
std::size_t size_of_right = sizeof(ab::BasicKvCache<Nothing, Policy>);

// CASE MARKUP: error within 5 lines
//   g++:   error: .*the decoder's markup must satisfy the concept Markup
//   clang: error: .*the decoder's markup must satisfy the concept Markup
#ifdef MARKUP
void wrong(ab::KvCache& cache) { const ab::Decoder decoder(cache, Nothing{}, Text{}); }
#endif

// CASE MARKUP_GIVEN: error within 8 lines
//   g++:   required for the satisfaction of .Markup<
//   clang: because 'Nothing' does not satisfy 'Markup'
#ifdef MARKUP_GIVEN
std::size_t size = sizeof(ab::Decoder<Nothing, Text>);
#endif

// CASE DETOKENIZER: error within 5 lines
//   g++:   error: .*the decoder's text must satisfy the concept Detokenizer
//   clang: error: .*the decoder's text must satisfy the concept Detokenizer
#ifdef DETOKENIZER
void wrong(ab::KvCache& cache) { const ab::Decoder decoder(cache, ab::markup::Serial{}, Nothing{}); }
#endif

// CASE SAMPLER: error within 5 lines
//   g++:   error: .*the decoder's sampler must satisfy the concept SamplerLike
//   clang: error: .*the decoder's sampler must satisfy the concept SamplerLike
#ifdef SAMPLER
void wrong(ab::KvCache& cache) { const ab::Decoder decoder(cache, ab::markup::Serial{}, Text{}, {}, Nothing{}); }
#endif

// CASE CACHE: error within 5 lines
//   g++:   error: .*the decoder's cache must satisfy the concept DecoderCache
//   clang: error: .*the decoder's cache must satisfy the concept DecoderCache
#ifdef CACHE
void wrong(Nothing& cache) { const ab::Decoder decoder(cache, ab::markup::Serial{}, Text{}); }
#endif

// CASE MODEL: error within 5 lines
//   g++:   error: .*the loop's model must satisfy the concept Model
//   clang: error: .*the loop's model must satisfy the concept Model
#ifdef MODEL
void wrong(ab::KvCache& cache, Nothing& model, ab::Decoder<ab::markup::Serial, Text>& decoder) {
  const ab::RequestLoop loop(model, cache, decoder, ab::GenerateOptions{});
}
#endif

// CASE POLICY: error within 8 lines
//   g++:   required for the satisfaction of .PositionPolicy<
//   clang: because 'Nothing' does not satisfy 'PositionPolicy'
#ifdef POLICY
std::size_t size = sizeof(ab::BasicKvCache<ab::NoPayload, Nothing>);
#endif
