#include "server.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <httplib.h>

#include "api_error.hpp"
#include "engine_report.hpp"
#include "log.hpp"
#include "pages.hpp"
#include "session.hpp"

namespace serve {
namespace {

namespace ab = anabranch;

/// A path, and the method that it takes beside OPTIONS.
struct Route {
  std::string_view path;
  std::string_view method;
  bool needs_key;
};
constexpr Route kRoutes[] = {{"/", "GET", false},
                             {"/running", "GET", false},
                             {"/openapi.json", "GET", false},
                             {"/health", "GET", false},
                             {"/metrics", "GET", false},
                             {"/v1/models", "GET", true},
                             {"/v1/passes", "GET", true},
                             {"/v1/chat/completions", "POST", true},
                             {"/v1/completions", "POST", true}};
constexpr std::string_view kOneModel = "/v1/models/";

const Route* route_of(std::string_view path) {
  for (const Route& route : kRoutes)
    if (route.path == path) return &route;
  static constexpr Route kModel{kOneModel, "GET", true};
  return path.size() > kOneModel.size() && path.substr(0, kOneModel.size()) == kOneModel ? &kModel : nullptr;
}

/// Takes as long for a wrong key as for the right one.
bool is_equal(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0u : 1u;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ (b.empty() ? 0u : static_cast<unsigned char>(b[i % b.size()]));
  return difference == 0;
}

void reply_with(httplib::Response& response, const ApiError& error) {
  response.status = error.status();
  response.set_content(error.body(), "application/json");
  if (error.status() == 429 || error.status() == 503) response.set_header("Retry-After", "1");
}

/// The reply to a request whose body, if it has one, was not read: the connection ends with it, because httplib would
/// take the body for the next request.
void reply_and_close(httplib::Response& response, const ApiError& error) {
  reply_with(response, error);
  std::string body = std::exchange(response.body, {});
  response.set_header("Connection", "close");
  const std::size_t size = body.size();
  response.set_content_provider(size, "application/json",
                                [body = std::move(body)](std::size_t from, std::size_t n, httplib::DataSink& sink) {
                                  sink.write(body.data() + from, n);
                                  return false;  // which ends the connection
                                });
}

bool has_body(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return (!length.empty() && length != "0") || request.has_header("Transfer-Encoding");
}

ApiError method_error(const std::string& method, const Route& route) {
  return {405, fmt::format("{} takes {}, not {}", route.path, route.method, method), "", "method_not_allowed"};
}

void allow_only(httplib::Response& response, const Route& route) {
  response.set_header("Allow", std::string(route.method));
}

/// What httplib refuses by itself: a body that is too large, a method that it does not know, what cannot be read. Of a
/// request with an unknown method it has read the first line alone.
void refuse_unread(const httplib::Request& request, httplib::Response& response, std::int64_t max_body) {
  const std::string_view target = request.target;
  const Route* route = route_of(target.substr(0, target.find('?')));
  if (response.status == 413)
    reply_and_close(response, {413, fmt::format("the body has more than {} bytes", max_body)});
  else if (response.status == 400 && request.path.empty() && request.version == "HTTP/1.1" && route != nullptr) {
    reply_and_close(response, method_error(request.method, *route));
    allow_only(response, *route);
  } else {
    reply_and_close(response, {response.status, "the request cannot be read"});
  }
}

/// A regular expression of the numbers 0 to `most` without leading zeros.
std::string numbers_up_to(std::int64_t most) {
  const std::string digits = std::to_string(most);
  std::string pattern = digits;
  for (std::size_t i = 0; i < digits.size(); ++i) {  // those that are the same up to digit i, and less there
    const char least = i == 0 && digits.size() > 1 ? '1' : '0';
    if (digits[i] == least) continue;
    pattern += "|" + digits.substr(0, i) + "[" + least + "-" + static_cast<char>(digits[i] - 1) + "]";
    if (i + 1 < digits.size()) pattern += "[0-9]{" + std::to_string(digits.size() - i - 1) + "}";
  }
  if (digits.size() > 1) pattern += "|[0-9]";
  if (digits.size() > 2) pattern += "|[1-9][0-9]{1," + std::to_string(digits.size() - 2) + "}";
  return "^(" + pattern + ")$";
}

/// openapi.json with this server's model and limits.
std::string openapi_of(const ApiLimits& limits) {
  nlohmann::json document = nlohmann::json::parse(openapi_document());
  const nlohmann::json token{{"type", "integer"}, {"minimum", 0}, {"maximum", limits.vocabulary - 1}};
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    nlohmann::json& fields =
        document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"];
    fields["model"]["enum"] = {limits.model};
    fields["logit_bias"]["propertyNames"]["pattern"] = numbers_up_to(limits.vocabulary - 1);
    if (limits.max_seconds > 0) fields["timeout"]["maximum"] = limits.max_seconds;
    if (!fields.contains("prompt")) continue;
    fields["prompt"]["oneOf"][1]["maxItems"] = fields["prompt"]["oneOf"][3]["maxItems"] = limits.max_choices;
    fields["prompt"]["oneOf"][2]["items"] = token;
    fields["prompt"]["oneOf"][3]["items"]["items"] = token;
  }
  return dump(document);
}

/// One server a port: httplib's default lets several listen, and share the connections. A port that was given up a
/// moment ago can be taken again.
void take_alone(socket_t listener) {
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

nlohmann::json model_json(const ServerOptions& options, std::int64_t created) {
  return {{"id", options.limits.model}, {"object", "model"}, {"created", created}, {"owned_by", "anabranch"}};
}

}  // namespace

struct Server::Http {
  httplib::Server server;
  std::atomic<bool> drains{false};
  std::atomic<std::uint64_t> n_replies{0};
  std::int64_t started = unix_seconds();

  void set_up(Server& owner);
  bool admit(Server& owner, const httplib::Request& request, httplib::Response& response);
  void check(const Server& owner, const httplib::Request& request) const;
  void add_gets(Server& owner);
  void answer(Server& owner, Endpoint endpoint, const httplib::Request& request, httplib::Response& response);
};

Server::Server(ab::torch::Engine& engine, ServerOptions options)
    : engine_(engine),
      options_(std::move(options)),
      conversations_(std::int64_t{options_.conversation_mb} << 20),
      http_(std::make_unique<Http>()) {
  http_->set_up(*this);
}

Server::~Server() = default;

/// Throws what stands against a request, whatever it asks for.
void Server::Http::check(const Server& owner, const httplib::Request& request) const {
  const Route* route = route_of(request.path);
  if (route == nullptr) throw ApiError(404, fmt::format("there is no {} here", request.path), "", "not_found");
  const bool is_head = request.method == "HEAD" && route->method == "GET";
  if (request.method != route->method && !is_head) throw method_error(request.method, *route);
  if (route->method == "GET" && has_body(request))
    throw ApiError(400, fmt::format("{} takes no body", route->path), "", "unexpected_body");
  const std::string& key = owner.options_.api_key;
  if (!route->needs_key || key.empty()) return;
  const std::string shown = request.get_header_value("Authorization");
  if (!is_equal(shown, "Bearer " + key))
    throw ApiError(401, "the header 'Authorization: Bearer KEY' with this server's key is missing or wrong", "",
                   "invalid_api_key");
}

/// False: the response has been written.
bool Server::Http::admit(Server& owner, const httplib::Request& request, httplib::Response& response) {
  const std::string& cors = owner.options_.cors;
  if (!cors.empty()) {
    response.set_header("Access-Control-Allow-Origin", cors);
    if (cors != "*") response.set_header("Vary", "Origin");
  }
  if (request.method == "OPTIONS" && !cors.empty()) {
    response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type");
    response.status = 204;
    return false;
  }
  try {
    check(owner, request);
  } catch (const ApiError& error) {
    reply_and_close(response, error);
    if (const Route* route = route_of(request.path); error.status() == 405 && route != nullptr)
      allow_only(response, *route);
    return false;
  }
  return true;
}

void Server::Http::answer(Server& owner, Endpoint endpoint, const httplib::Request& request,
                          httplib::Response& response) {
  try {
    if (drains) throw ApiError(503, "the server is about to end", "", "shutting_down");
    ApiRequest asked = read_request(endpoint, request.body, owner.options_.limits);
    const bool streams = asked.stream;
    ReplyContext context;
    context.id = fmt::format("{}-{:x}{:06x}", endpoint == Endpoint::chat ? "chatcmpl" : "cmpl", started, ++n_replies);
    context.model = owner.options_.limits.model;
    context.created = unix_seconds();
    context.text_of = [&engine = owner.engine_](ab::TokenId token) {
      std::string text;
      engine.model().text().tokenizer(std::span(&token, 1), text);
      return text;
    };
    const auto session = std::make_shared<Session>(Services{owner.engine_, owner.metrics_, owner.conversations_},
                                                   std::move(asked), std::move(context));
    if (!streams) session->wait_for_begin();
    if (streams) response.set_header("Cache-Control", "no-cache");
    response.set_chunked_content_provider(
        streams ? "text/event-stream" : "application/json", [session](std::size_t, httplib::DataSink& sink) {
          const bool is_sent =
              session->send({[&](const std::string& bytes) { return sink.write(bytes.data(), bytes.size()); },
                             [&] { return sink.is_writable(); }});
          if (is_sent) sink.done();
          return is_sent;
        });
  } catch (const ApiError& error) {
    reply_with(response, error);
  }
}

void Server::Http::add_gets(Server& owner) {
  const auto get = [this](const char* path, const char* type,
                          std::function<std::string(const httplib::Request&)> body) {
    server.Get(path, [type, body](const httplib::Request& request, httplib::Response& response) {
      try {
        response.set_content(body(request), type);
      } catch (const ApiError& error) {
        reply_with(response, error);
      }
    });
  };
  const ServerOptions& options = owner.options_;
  get("/", "text/html; charset=utf-8", [](const auto&) { return std::string(chat_page()); });
  get("/running", "text/html; charset=utf-8", [](const auto&) { return std::string(running_page()); });
  get("/openapi.json", "application/json", [document = openapi_of(options.limits)](const auto&) { return document; });
  get("/metrics", "text/plain; version=0.0.4; charset=utf-8", [&owner](const auto&) {
    return owner.metrics_.text() + owner.conversations_.metrics() + engine_metrics(owner.engine_);
  });
  get("/v1/models", "application/json", [this, &options](const auto&) {
    return dump({{"object", "list"}, {"data", nlohmann::json::array({model_json(options, started)})}});
  });
  get("/v1/models/(.+)", "application/json", [this, &options](const httplib::Request& request) {
    if (request.matches[1] != options.limits.model)
      throw ApiError(404,
                     fmt::format("The model '{}' does not exist; this server has '{}'", request.matches[1].str(),
                                 options.limits.model),
                     "model", "model_not_found");
    return dump(model_json(options, started));
  });
  get("/v1/passes", "application/json", [&owner](const httplib::Request& request) {
    return passes_report(owner.engine_, request.has_param("after") ? request.get_param_value("after") : "0");
  });
  server.Get("/health", [this](const httplib::Request&, httplib::Response& response) {
    response.status = drains ? 503 : 200;
    response.set_content(drains ? R"({"status": "ending"})" : R"({"status": "ok"})", "application/json");
  });
}

void Server::Http::set_up(Server& owner) {
  server.set_socket_options(take_alone);
  const auto n_threads = static_cast<std::size_t>(owner.options_.max_connections);
  server.new_task_queue = [n_threads] { return new httplib::ThreadPool(n_threads); };
  server.set_payload_max_length(static_cast<std::size_t>(owner.options_.max_body));
  server.set_read_timeout(10);
  server.set_write_timeout(20);
  server.set_keep_alive_timeout(10);
  server.set_keep_alive_max_count(1000);
  server.set_tcp_nodelay(true);
  server.set_pre_routing_handler([this, &owner](const httplib::Request& request, httplib::Response& response) {
    return admit(owner, request, response) ? httplib::Server::HandlerResponse::Unhandled
                                           : httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler([&owner](const httplib::Request& request, httplib::Response& response) {
    if (response.body.empty() && !response.content_provider_) refuse_unread(request, response, owner.options_.max_body);
  });
  server.set_exception_handler(
      [](const httplib::Request& request, httplib::Response& response, std::exception_ptr failure) {
        try {
          std::rethrow_exception(failure);
        } catch (const std::exception& error) {
          log("failure", {{"path", request.path}, {"message", error.what()}});
          reply_with(response, ApiError(500, error.what()));
        }
      });
  server.set_logger([&owner](const httplib::Request& request, const httplib::Response& response) {
    const Route* route = route_of(request.path);
    owner.metrics_.count_reply(std::string(route == nullptr ? "other" : route->path), response.status);
  });
  add_gets(owner);
  server.Post("/v1/chat/completions", [this, &owner](const auto& request, auto& response) {
    answer(owner, Endpoint::chat, request, response);
  });
  server.Post("/v1/completions", [this, &owner](const auto& request, auto& response) {
    answer(owner, Endpoint::completions, request, response);
  });
}

void check_address(const std::string& host, std::int32_t port) {
  const auto refuse = [&](const char* reason) {
    throw std::runtime_error(fmt::format("cannot listen on {}:{}: {}", host, port, reason));
  };
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
    refuse(gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  int reason = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int listener = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (listener >= 0) take_alone(listener);
    const bool is_free = listener >= 0 && ::bind(listener, address->ai_addr, address->ai_addrlen) == 0;
    reason = errno;
    if (listener >= 0) ::close(listener);
    if (is_free) return;
  }
  refuse(std::strerror(reason));
}

std::int32_t Server::bind() {
  const std::string& host = options_.host;
  std::int32_t port = options_.port;
  const bool is_bound =
      port == 0 ? (port = http_->server.bind_to_any_port(host)) > 0 : http_->server.bind_to_port(host, port);
  if (!is_bound)
    throw std::runtime_error(fmt::format("cannot listen on {}:{}: is another server there?", host, options_.port));
  return port;
}

void Server::run() {
  // Answers that are not over when the time of draining is, are ended; their clients get what is written.
  std::jthread end_late([this](const std::stop_token& stop) {
    using Clock = std::chrono::steady_clock;
    std::optional<Clock::time_point> limit;
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (!http_->drains) continue;
      if (!limit)
        limit = Clock::now() +
                std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.drain_seconds));
      if (Clock::now() >= *limit) engine_.finish_all();
    }
  });
  http_->server.listen_after_bind();
}

void Server::drain() {
  http_->drains = true;
  http_->server.stop();
}

}  // namespace serve
