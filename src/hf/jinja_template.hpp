// A model's own chat template, run by llama.cpp's Jinja engine (cmake/setup/jinja.sh) where the build has it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <anabranch/hf/chat_template.hpp>

namespace anabranch::hf::impl {

class JinjaTemplate {
 public:
  virtual ~JinjaTemplate() = default;

  /// Was the engine there when this library was built?
  static bool available() noexcept;
  /// Parses the text of a template; `name` starts messages. Throws `unsupported`: what the engine does not know, or
  /// that there is none.
  static std::shared_ptr<const JinjaTemplate> parse(std::string_view text, const std::string& name);

  /// The values that a template sees beside its messages.
  struct Values {
    const std::map<std::string, std::string>& tokens;
    RenderOptions options;
  };
  /// Throws `unsupported` where the template uses what the engine lacks, and `bad_argument` with the template's words
  /// where it refuses the messages.
  virtual Rendering render(std::span<const Message> messages, const Values& values) const = 0;
};

}  // namespace anabranch::hf::impl
