// GenerateOptions: the options of every `generate` (torch/generate.hpp, llama/generate.hpp) and of RequestLoop.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <anabranch/decode/callback.hpp>
#include <anabranch/decode/events.hpp>
#include <anabranch/decode/request.hpp>
#include <anabranch/markup/markup_kind.hpp>

namespace anabranch {

/// The drafts of a run, beside the markup's tags.
enum class DraftKind : std::uint8_t {
  off,
  copy,  ///< what followed the last tokens where they came before (CopyDrafter), where it pays (MeasuredDrafts)
};

struct GenerateOptions {
  std::optional<MarkupKind> markup = {};           ///< none: the model's own
  std::optional<Positions> positions = {};         ///< none: the model's own
  std::string system = {};                         ///< system message; empty: the chat template's default
  RequestOptions request = {};                     ///< of every question; a limit that is kNone is the runner's
  std::int32_t max_branches = 8;                   ///< points or titles of a block, and branches decoded at once
  bool draft = true;                               ///< as DecoderOptions::draft
  DraftKind drafts = DraftKind::off;               ///< further drafts, on any branch; they change no text
  std::shared_ptr<const RowCosts> row_costs = {};  ///< as DecoderOptions::row_costs
  bool model_defaults = true;     ///< what `request` leaves open of sampling is as the model's own settings have it
  std::int32_t max_requests = 4;  ///< questions that are answered at once
  std::int32_t n_pages = 0;       ///< of the cache; 0: what `max_requests` answers can need
  bool unique_titles = true;      ///< aspd: as AspdOptions::unique_titles
  bool well_formed = true;        ///< aspd: as AspdOptions::well_formed
  // Callbacks and stops of a run. All are asked between passes; docs/decoding.md says how a stopped answer ends.
  Callback<const Event&> on_event = {};
  Callback<> on_pass = {};                                             ///< after the events of a pass
  std::stop_token stop = {};                                           ///< from any thread
  std::optional<std::chrono::steady_clock::time_point> deadline = {};  ///< no pass begins after it
};

/// The decoder's options as far as these say them. REQUIRES: the limits of `request` are set.
inline DecoderOptions decoder_options(const GenerateOptions& options) {
  DecoderOptions result;
  result.max_branches = options.max_branches;
  result.max_tokens = options.request.max_tokens;
  result.max_branch_tokens = options.request.max_branch_tokens;
  result.draft = options.draft;
  result.row_costs = options.row_costs;
  return result;
}

}  // namespace anabranch
