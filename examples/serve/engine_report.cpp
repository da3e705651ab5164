#include "engine_report.hpp"

#include <charconv>

#include "api_error.hpp"
#include "json_fields.hpp"
#include "metrics.hpp"
#include "reply.hpp"

namespace serve {

namespace ab = anabranch;
using nlohmann::json;

std::string engine_metrics(const ab::torch::Engine& engine) {
  const ab::torch::EngineState s = engine.state();
  std::string out;
  const auto gauge = [&](const char* name, const char* help, auto value) {
    write_metric(out, name, "gauge", help, static_cast<double>(value));
  };
  const auto counter = [&](const char* name, const char* help, auto value) {
    write_metric(out, name, "counter", help, static_cast<double>(value));
  };
  gauge("anabranch_requests_running", "requests that have rows in the passes", s.scheduler.n_running);
  gauge("anabranch_requests_queued", "requests that wait for pages", s.scheduler.n_queued);
  gauge("anabranch_requests_prefill", "of those that run: still in their prompts", s.scheduler.n_filling);
  gauge("anabranch_requests_branching", "of those that run: with open branches", s.scheduler.n_branching);
  gauge("anabranch_pages", "pages of the cache", s.n_pages);
  gauge("anabranch_pages_free", "pages that hold nothing", s.n_free_pages);
  counter("anabranch_passes_total", "passes of the model", s.n_passes);
  counter("anabranch_rows_total", "rows of these passes; rows a pass is their ratio", s.n_rows);
  counter("anabranch_pass_seconds_total", "time of these passes", s.pass_seconds);
  counter("anabranch_preemptions_total", "times that a request lost its pages", s.scheduler.n_preempted);
  gauge("anabranch_pages_kept", "pages that hold what prompts may begin with", s.n_kept_pages);
  counter("anabranch_prefix_lookups_total", "prompts that were looked up in the prefix cache", s.prefixes.n_lookups);
  counter("anabranch_prefix_hits_total", "prompts of which it had a beginning", s.prefixes.n_hits);
  counter("anabranch_prefix_tokens_total", "prompt tokens that were not computed again", s.prefixes.n_tokens_hit);
  counter("anabranch_deferrals_total", "times that a running request had to wait", s.scheduler.n_deferred);
  return out;
}

std::string passes_report(const ab::torch::Engine& engine, const std::string& after) {
  std::int64_t number = 0;
  const char* end = after.data() + after.size();
  if (const auto read = std::from_chars(after.data(), end, number);
      read.ptr != end || read.ec != std::errc() || number < 0)
    throw ApiError(400, "'after' must be the number of a pass, not " + shown(after), "after");
  const ab::torch::EngineState s = engine.state();
  json passes = json::array();
  for (const ab::torch::PassRecord& pass : engine.passes(number)) {
    json requests = json::array();
    for (const ab::RequestShare& share : pass.requests)
      requests.push_back({static_cast<std::uint64_t>(share.request), share.n_rows});
    passes.push_back(
        {{"number", pass.number}, {"seconds", pass.seconds}, {"rows", pass.n_rows}, {"requests", std::move(requests)}});
  }
  return dump({{"passes", std::move(passes)},
               {"state",
                {{"running", s.scheduler.n_running},
                 {"queued", s.scheduler.n_queued},
                 {"preempted", s.scheduler.n_preempted},
                 {"pages", s.n_pages},
                 {"free_pages", s.n_free_pages},
                 {"kept_pages", s.n_kept_pages},
                 {"page_size", s.page_size},
                 {"passes", s.n_passes},
                 {"prefix_lookups", s.prefixes.n_lookups},
                 {"prefix_hits", s.prefixes.n_hits},
                 {"prompt_tokens_found", s.prefixes.n_tokens_hit}}}});
}

}  // namespace serve
