// Serves a model to many users at once, in the form of OpenAI's API, with a page to try it.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <anabranch/torch/engine.hpp>
#include <anabranch/torch/generate.hpp>

#include "../common/data.hpp"
#include "../common/guarded.hpp"
#include "../common/load_progress.hpp"
#include "../common/numbers.hpp"
#include "../common/shipped.hpp"
#include "../common/usage.hpp"
#include "log.hpp"
#include "server.hpp"

namespace ab = anabranch;

namespace {

struct Options {
  serve::ServerOptions server;
  ab::torch::EngineOptions engine;
  std::string model, adapter, weights = "auto", width = "auto", drafts = "off";
  std::int32_t threads = 0;
  std::int32_t context = 32768;
  double target_ms = 0;
};

void add_server_options(CLI::App& app, serve::ServerOptions& o) {
  app.add_option("--host", o.host, "address to listen on; 0.0.0.0: all")->capture_default_str();
  app.add_option("--port", o.port, "0: one that is free")->check(CLI::Range(0, 65535))->capture_default_str();
  app.add_option("--api-key", o.api_key, "key that clients must show; also from ANABRANCH_API_KEY")
      ->envname("ANABRANCH_API_KEY");
  app.add_option("--cors", o.cors, "origin of pages that may use the server, or '*'");
  app.add_option("--name", o.limits.model, "the name that the model goes by")->capture_default_str();
  app.add_option("--max-body", o.max_body, "bytes of a request")
      ->check(CLI::Range(std::int64_t{1024}, std::int64_t{1} << 30))
      ->capture_default_str();
  app.add_option("--max-connections", o.max_connections, "served at once; the others wait")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--max-seconds", o.limits.max_seconds, "that an answer may take; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--conversation-mb", o.conversation_mb,
                 "MiB of answers that a chat's next turn can go on from; 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--drain", o.drain_seconds, "seconds that answers have to end after SIGTERM or Ctrl-C")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_engine_options(CLI::App& app, Options& o) {
  app.add_option("--model", o.model,
                 "Hugging Face folder or GGUF file of a model, or its name on the hub if it was fetched")
      ->check(example::named())
      ->default_str(example::kModel);
  app.add_option("--adapter", o.adapter, "PEFT LoRA folder to merge into the model")
      ->default_str(std::string(example::kAdapter) + ", without --model");
  app.add_option("--weights", o.weights, "auto, f32, bf16, int8; auto: the fastest here, measured")
      ->check(CLI::IsMember(example::kWeights))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "0: LibTorch's choice")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--context", o.context, "tokens of all requests together that the cache holds")
      ->check(CLI::Range(256, 1 << 24))
      ->capture_default_str();
  app.add_option("--max-open", o.engine.max_open, "requests that run or wait; more are told to come again")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--max-tokens", o.engine.generate.request.max_tokens,
                 "tokens of an answer, when a request does not say")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-branches", o.engine.generate.max_branches,
                 "parts of a block, and branches of a request decoded at once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--width", o.width,
                 "rows of a pass; auto: what brings the most tokens per second; serial: one branch of a request; all: "
                 "all branches")
      ->check(CLI::IsMember({"auto", "serial", "all"}))
      ->capture_default_str();
  app.add_option("--drafts", o.drafts,
                 "copy: what followed the last tokens where they came before is fed ahead, where it pays; same text")
      ->check(CLI::IsMember({"off", "copy"}))
      ->capture_default_str();
  app.add_option("--target-ms", o.target_ms,
                 "a request's token is to take no longer: others wait to be admitted; 0: any time")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void fill_in(Options& o) {
  if (!o.model.empty()) return;
  o.model = example::data(example::kModel);
  if (o.adapter.empty()) o.adapter = example::data(example::kAdapter);
  o.engine.generate.request.sampling.temperature = 0.0f;  // as it was measured
  o.engine.generate.request.sampling.repetition_penalty = example::kPenalty;
}

volatile std::sig_atomic_t asked_to_end = 0;
extern "C" void note_signal(int) { asked_to_end = 1; }

int run(Options o) {
  std::signal(SIGPIPE, SIG_IGN);
  serve::check_address(o.server.host, o.server.port);
  ab::torch::LoadOptions load;
  load.weights = example::kWeights.at(o.weights);
  load.n_threads = o.threads;
  load.on_progress = example::load_progress();
  if (!o.adapter.empty()) load.adapter = o.adapter;
  const ab::torch::CausalLm model = ab::torch::CausalLm::load(o.model, load);
  o.engine.schedule.target_seconds = o.target_ms / 1000;
  o.engine.n_tokens = o.context;
  // Without costs, and without a target, the scheduler takes all rows.
  if (o.width != "all") o.engine.generate.row_costs = std::make_shared<const ab::RowCosts>(model.measure_row_costs());
  if (o.width == "serial") o.engine.generate.request.max_parallel_branches = 1;
  if (o.drafts == "copy") o.engine.generate.drafts = ab::DraftKind::copy;
  ab::torch::Engine engine(model, o.engine);
  o.server.limits.max_tokens = o.engine.generate.request.max_tokens;
  o.server.limits.vocabulary = model.config().vocabulary;
  o.server.limits.max_positions = model.config().max_positions;
  serve::Server server(engine, o.server);
  const std::int32_t port = server.bind();
  std::signal(SIGTERM, note_signal);  // until here they end the program at once
  std::signal(SIGINT, note_signal);
  const std::string address = fmt::format("http://{}:{}", o.server.host, port);
  fmt::print(
      "serving {} as '{}' on {} (page: {}/, this server: {}/running); try:\n\n  curl {}/v1/chat/completions {}"
      "-d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", \"content\": \"What are the benefits of regular "
      "exercise?\"}}]}}'\n\n",
      o.model, o.server.limits.model, address, address, address, address,
      o.server.api_key.empty() ? "" : "-H \"Authorization: Bearer $ANABRANCH_API_KEY\" ", o.server.limits.model);
  std::fflush(stdout);
  serve::log("started", {{"address", address}, {"pid", getpid()}});
  std::jthread wait_for_end([&](const std::stop_token& stop) {
    while (!stop.stop_requested() && asked_to_end == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (asked_to_end == 0) return;
    serve::log("ending", {{"open", engine.n_open()}, {"within_seconds", o.server.drain_seconds}});
    server.drain();
  });
  server.run();
  serve::log("ended");
  return 0;
}

/// A thread for each connection, and glibc gives threads heaps of their own: memory that one frees no other takes. What
/// the process holds grew by a tenth in ten minutes of the soak, with two heaps by a hundredth in five.
void share_heaps() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  share_heaps();
  Options options;
  options.engine.generate.request.max_tokens = ab::torch::kMaxTokens;
  options.engine.generate.request.max_branch_tokens = ab::torch::kMaxBranchTokens;
  CLI::App app{"Serves a model to many users at once, in the form of OpenAI's API, with a page to try it"};
  add_server_options(app, options.server);
  add_engine_options(app, options);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  fill_in(options);
  return example::guarded("serve", [&] { return run(std::move(options)); });
}
