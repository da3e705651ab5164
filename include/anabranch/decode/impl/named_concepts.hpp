// Types that name the concept that a decoder's part does not satisfy.
//
// Where template arguments are deduced, a compiler would first list every constructor that it tried. The deduction
// guides of Decoder and RequestLoop look at these first, and their text is the first that the compiler says.
#pragma once

#include <anabranch/decode/decoder_cache.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/decode/sampler.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::impl {

template <class M>
struct NamedMarkup {
  static_assert(Markup<M>, "the decoder's markup must satisfy the concept Markup (anabranch/markup/markup.hpp)");
  using Type = M;
};
template <class Text>
struct NamedDetokenizer {
  static_assert(Detokenizer<Text>,
                "the decoder's text must satisfy the concept Detokenizer (anabranch/markup/text.hpp)");
  using Type = Text;
};
template <class S>
struct NamedSampler {
  static_assert(SamplerLike<S>,
                "the decoder's sampler must satisfy the concept SamplerLike (anabranch/decode/sampler.hpp)");
  using Type = S;
};
template <class Cache>
struct NamedCache {
  static_assert(DecoderCache<Cache>,
                "the decoder's cache must satisfy the concept DecoderCache (anabranch/decode/decoder_cache.hpp)");
  using Type = Cache;
};
template <class M>
struct NamedModel {
  static_assert(Model<M>, "the loop's model must satisfy the concept Model (anabranch/decode/model.hpp)");
  using Type = M;
};

}  // namespace anabranch::impl
