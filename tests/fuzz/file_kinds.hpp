// The files of other people that the library reads, as one fuzz target: any bytes are read and can be used, or are
// refused with an Error. What more each kind promises, its `read` checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace fuzz {

/// What is changed in a file of this kind: bytes; values of JSON, too; pieces of templates, too.
enum class Format : std::uint8_t { bytes, json, chat_template };

struct FileKind {
  std::string_view name;  ///< of the folder of its inputs, "config"
  Format format;
  std::size_t n_reasons;  ///< a run of thousands of changed files is refused for so many reasons or more
  /// Reads the bytes as such a file, and uses what they make. Throws the Error that refuses them. Stops the program
  /// when a promise is not kept.
  void (*read)(std::string_view bytes);
};
std::span<const FileKind> file_kinds();
/// Stops the program for a name that no kind has; nullptr has none.
const FileKind& file_kind(const char* name);

/// What the inputs of one kind reached.
struct FileTally {
  std::size_t n_inputs = 0;
  std::size_t n_taken = 0;
  std::map<std::string, std::size_t> refused;  ///< by the text of the refusal, without names and numbers
};
/// One input. True: it was taken.
bool read_file(const FileKind& kind, std::string_view bytes, FileTally& tally);

// The kinds. A config.json, an adapter_config.json beside tensors, a model.gguf and a model.safetensors, in a folder:
void read_config(std::string_view bytes);
void read_adapter_config(std::string_view bytes);
void read_gguf(std::string_view bytes);
void read_tensors(std::string_view bytes);
/// A tokenizer.json.
void read_tokenizer(std::string_view bytes);
/// A chat template, behind two bytes that choose the messages and the options.
void read_template(std::string_view bytes);

}  // namespace fuzz
