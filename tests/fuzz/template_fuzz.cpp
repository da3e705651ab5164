// Chat templates from anywhere: the input is a template, behind two bytes that choose the messages. It is read and
// rendered, or refused with an Error; nothing else may happen, and the ranges of contents lie in order inside the text.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/chat_template.hpp>

namespace hf = anabranch::hf;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::vector<hf::Message> messages_of(std::uint8_t choice) {
  std::vector<hf::Message> messages{{"user", "Hi <|im_end|>"}};
  if ((choice & 1) != 0) messages.insert(messages.begin(), {"system", " Be brief.\n"});
  if ((choice & 2) != 0) messages.push_back({"assistant", "<think>\nhm\n</think>\n\n\xC3\xA9t\xC3\xA9"});
  if ((choice & 4) != 0) messages.push_back({"user", ""});
  return messages;
}

void check(const hf::Rendering& rendering) {
  std::size_t done = 0;
  for (const hf::TextRange& range : rendering.contents) {
    require(range.begin < range.end && done <= range.begin, "ranges ascend");
    done = range.end;
  }
  require(done <= rendering.text.size(), "ranges lie in the text");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  if (n < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(bytes) + 2, n - 2);
  const hf::RenderOptions options{(bytes[1] & 1) != 0 ? hf::AnswerStart::add : hf::AnswerStart::none,
                                  (bytes[1] & 2) != 0 ? hf::Thinking::off : hf::Thinking::as_trained, 1721995200};
  try {
    const auto chat = hf::ChatTemplate::parse(text, {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, "input");
    check(chat.render_parts(messages_of(bytes[0]), options));
  } catch (const anabranch::Error&) {
  }
  return 0;
}
