// The parts that `generate` and Conversation are put together from: limits, options of the decoder, and the markup.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/draft/copy_drafter.hpp>
#include <anabranch/decode/draft/measured_drafts.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::torch::impl {

/// Fills in the limits that the caller left to the runner, and the sampling settings that it left to the model. Throws
/// bad_request for counts that make no sense, and what CausalLm::generation throws.
GenerateOptions filled(const CausalLm& model, GenerateOptions options);

/// The messages behind the system message of the options, which gives way to one of their own.
std::vector<hf::Message> with_system(const GenerateOptions& options, std::vector<hf::Message> messages);

DecoderOptions decoder_options(const CausalLm& model, const GenerateOptions& options);
markup::SkeletonOptions skeleton_options(const CausalLm& model, const GenerateOptions& options);
markup::AspdOptions aspd_options(const CausalLm& model, const GenerateOptions& options);

using CopyDrafts = MeasuredDrafts<CopyDrafter>;
/// The options' drafts, for Decoder::draft_with; null: none.
std::unique_ptr<CopyDrafts> drafts(const GenerateOptions& options);

/// use(markup) with the options' markup, else with the model's own.
template <class Use>
decltype(auto) with_markup(const CausalLm& model, const GenerateOptions& options, Use&& use) {
  const hf::ModelText& text = model.text();
  switch (options.markup.value_or(text.markup.markup)) {
    case MarkupKind::skeleton:
      return use(markup::Skeleton(text.tokenizer, text.tokenizer, skeleton_options(model, options)));
    case MarkupKind::aspd: return use(markup::Aspd(text.markup.tags(text.tokenizer), aspd_options(model, options)));
    case MarkupKind::serial: break;
  }
  return use(markup::Serial());
}

}  // namespace anabranch::torch::impl
