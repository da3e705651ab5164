#include "file_kinds.hpp"

#include <array>
#include <cctype>

#include <anabranch/error.hpp>

#include "check.hpp"

namespace fuzz {
namespace {

using anabranch::Error;
using anabranch::Status;

constexpr std::array<FileKind, 6> kKinds{{{"config", Format::json, 40, read_config},
                                          {"adapter_config", Format::json, 60, read_adapter_config},
                                          {"gguf", Format::bytes, 12, read_gguf},
                                          {"safetensors", Format::bytes, 12, read_tensors},
                                          {"tokenizer", Format::json, 60, read_tokenizer},
                                          {"template", Format::chat_template, 100, read_template}}};

/// The text of a refusal, without what is quoted and its numbers.
std::string reason_of(const char* text) {
  std::string reason;
  char quote = '\0';
  for (const char* c = text; *c != '\0' && reason.size() < 120; ++c) {
    if (quote == '\0' && *c == '"')
      quote = *c;
    else if (*c == quote)
      quote = '\0';
    else if (quote == '\0' && !std::isdigit(static_cast<unsigned char>(*c)))
      reason += *c;
  }
  return reason;
}

}  // namespace

std::span<const FileKind> file_kinds() { return kKinds; }

const FileKind& file_kind(const char* name) {
  std::string all;
  for (const FileKind& kind : kKinds) {
    if (name != nullptr && kind.name == name) return kind;
    (all += ' ') += kind.name;
  }
  FUZZ_CHECK(false, "kind of file: expected one of%s, found %s", all.c_str(), name == nullptr ? "none" : name);
  return kKinds.front();
}

bool read_file(const FileKind& kind, std::string_view bytes, FileTally& tally) {
  ++tally.n_inputs;
  try {
    kind.read(bytes);
    ++tally.n_taken;
    return true;
  } catch (const Error& error) {
    const Status status = error.status();
    const bool of_messages = status == Status::bad_argument && kind.format == Format::chat_template;
    FUZZ_CHECK(
        status == Status::bad_file || status == Status::unsupported || status == Status::limit_reached || of_messages,
        "%s: %s", status_name(status), error.what());
    ++tally.refused[reason_of(error.what())];
    return false;
  }
}

}  // namespace fuzz
