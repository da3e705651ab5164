// A chat template from anywhere is rendered, and the ranges of contents lie in order inside the text.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/chat_template.hpp>

#include "check.hpp"
#include "file_kinds.hpp"

namespace fuzz {
namespace {

namespace hf = anabranch::hf;

std::vector<hf::Message> messages_of(std::uint8_t choice) {
  std::vector<hf::Message> messages{{"user", "Hi <|im_end|>"}};
  if ((choice & 1) != 0) messages.insert(messages.begin(), {"system", " Be brief.\n"});
  if ((choice & 2) != 0) messages.push_back({"assistant", "<think>\nhm\n</think>\n\n\xC3\xA9t\xC3\xA9"});
  if ((choice & 4) != 0) messages.push_back({"user", ""});
  return messages;
}

void check_ranges(const hf::Rendering& rendering) {
  std::size_t done = 0;
  for (const hf::TextRange& range : rendering.contents) {
    FUZZ_CHECK(range.begin < range.end && done <= range.begin, "%zu to %zu behind %zu", range.begin, range.end, done);
    done = range.end;
  }
  FUZZ_CHECK(done <= rendering.text.size(), "a range to %zu in %zu bytes", done, rendering.text.size());
}

}  // namespace

void read_template(std::string_view bytes) {
  const std::string text(bytes.substr(std::min<std::size_t>(2, bytes.size())));
  const auto byte = [&](std::size_t i) { return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0; };
  const hf::RenderOptions options{(byte(1) & 1) != 0 ? hf::AnswerStart::add : hf::AnswerStart::none,
                                  (byte(1) & 2) != 0 ? hf::Thinking::off : hf::Thinking::as_trained, 1721995200};
  const auto chat = hf::ChatTemplate::parse(text, {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, "input");
  check_ranges(chat.render_parts(messages_of(static_cast<std::uint8_t>(byte(0))), options));
}

}  // namespace fuzz
