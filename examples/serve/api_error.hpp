// ApiError: what a client is told when its request cannot be done, in the form of OpenAI's API.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace serve {

/// An answer other than 200: {"error": {"message", "type", "param", "code"}}. `what()` is the message.
class ApiError : public std::runtime_error {
 public:
  /// `param` names the field at fault, `code` the kind of mistake where clients look at it; empty: null in the answer.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "")
      : std::runtime_error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const noexcept { return status_; }
  /// The answer's body, in JSON.
  std::string body() const;

 private:
  int status_;
  std::string param_;
  std::string code_;
};

}  // namespace serve
