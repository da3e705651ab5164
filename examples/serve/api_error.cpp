#include "api_error.hpp"

#include <nlohmann/json.hpp>

namespace serve {
namespace {

const char* type_of(int status) {
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

}  // namespace

std::string ApiError::body() const {
  const nlohmann::json error{
      {"message", what()}, {"type", type_of(status_)}, {"param", text_or_null(param_)}, {"code", text_or_null(code_)}};
  return nlohmann::json{{"error", error}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace serve
