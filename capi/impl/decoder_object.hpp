// The object behind a decoder handle.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <anabranch/decode/decoder.hpp>

#include "any_markup.hpp"
#include "cache_object.hpp"

namespace anabranch {
// In sampler.cpp, because the loops over a vocabulary are worth more than the decoder's other code.
extern template class BasicSampler<float>;
extern template std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const float>, TokenId,
                                                                                     std::int32_t);
}  // namespace anabranch

namespace anabranch::capi {

class DecoderObject {
 public:
  using Core = Decoder<AnyMarkup, CallerText>;

  DecoderObject(CacheObject& cache, AnyMarkup markup, const CallerText& text, DecoderOptions options);
  ~DecoderObject();
  DecoderObject(const DecoderObject&) = delete;
  DecoderObject& operator=(const DecoderObject&) = delete;

  CacheObject& cache;
  const bool writes_text;
  Core core;
  std::optional<DecoderPlan> planned;   ///< the open plan
  std::span<const RequestPages> pages;  ///< of the last plan, a shortage; ascending requests
  std::span<const Event> events;        ///< being handed out, from `next_event` on
  std::size_t next_event = 0;
  std::vector<Event> taken;  ///< what `events` shows when no commit owns it
  Branch report;             ///< of the last get_branch
  std::shared_ptr<void> scheduler;               ///< on it, if there is one: scheduler_object.hpp
  const void* scheduler_handle = nullptr;  ///< of that

  /// Requests of different decoders have different names.
  anb_request to_c(RequestId id) const noexcept { return number_ << kIdBits | static_cast<std::uint64_t>(id); }
  /// Throws stale_request for another decoder's.
  RequestId to_cpp(anb_request request) const;
  void end_plan() noexcept;

 private:
  static constexpr int kIdBits = 40;
  const std::uint64_t number_;
};

/// Throws bad_request, bad_markup, callback_failed, bad_argument.
DecoderObject* make_decoder(CacheObject& cache, const anb_decoder_options& options);

/// What a call of the decoder and one of the scheduler have in common. Throw bad_argument, bad_request, stale_request.
RequestOptions read_request_options(const DecoderObject& object, const anb_request_options* options);
LogitsView read_logits(const anb_logits* logits);
Status show_plan(DecoderObject& object, const DecoderPlan& result, anb_plan* plan);
Status finish_pass(DecoderObject& object, std::span<const Event> events) noexcept;

/// Runs `body(object)` for the decoder of a handle, under the guard of its cache.
template <class Body>
anb_status with_decoder(const anb_decoder* handle, Body&& body) noexcept {
  auto* object = static_cast<DecoderObject*>(find_object(HandleKind::decoder, handle));
  if (object == nullptr)
    return report(Status::bad_handle, "no decoder: the handle is NULL, was destroyed, or is another");
  return guard(object->cache.condition, [&] { return body(*object); });
}

}  // namespace anabranch::capi
