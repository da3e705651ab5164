// Server: the HTTP side: routes, keys, limits, and the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <anabranch/torch/engine.hpp>

#include "api_request.hpp"
#include "conversations.hpp"
#include "metrics.hpp"

namespace serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::int32_t port = 8080;            ///< 0: one that is free
  std::string api_key;                 ///< clients must show it; empty: none is asked for
  std::string cors;                    ///< the origin that pages may come from, "*": any; empty: no other
  std::int64_t max_body = 4 << 20;     ///< bytes
  std::int32_t max_connections = 256;  ///< that are served at once; the others wait
  double drain_seconds = 30;           ///< that answers have to end after SIGTERM
  std::int32_t conversation_mb = 64;   ///< MiB of answers that a next turn can go on from (conversations.hpp); 0: none
  ApiLimits limits;
};

/// Throws std::runtime_error when nobody can listen there, so that this is known before a model is loaded. Takes
/// nothing.
void check_address(const std::string& host, std::int32_t port);

class Server {
 public:
  /// The engine must outlive it.
  Server(anabranch::torch::Engine& engine, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes the address; returns the port. Throws std::runtime_error when it cannot be had.
  std::int32_t bind();
  /// Serves until `drain` was called and all is answered, or its time is over.
  void run();
  /// No new connections and requests; from any thread.
  void drain();

 private:
  struct Http;

  anabranch::torch::Engine& engine_;
  const ServerOptions options_;
  Metrics metrics_;
  Conversations conversations_;
  std::unique_ptr<Http> http_;
};

}  // namespace serve
