#include <anabranch/hf/folder.hpp>

#include <anabranch/error.hpp>
#include <anabranch/hf/gguf.hpp>
#include <anabranch/hf/prompt.hpp>

namespace anabranch::hf {

ModelFolder ModelFolder::open(const std::filesystem::path& path) {
  std::error_code error;
  if (!is_gguf(path) && !std::filesystem::is_directory(path, error))
    fail(Status::bad_file, "model folder " + path.string() + ": expected a folder, found " +
                               (std::filesystem::exists(path, error) ? "a file" : "nothing"));
  ModelFolder folder{path, ModelConfig::load(path), Tokenizer::load(path), ChatTemplate::load(path),
                     Weights::open(path)};
  if (folder.config.text_part) folder.weights.take_text_part();
  add_tokens(folder.config.eos, ends_of_turn(folder.tokenizer, folder.chat));
  return folder;
}

}  // namespace anabranch::hf
