#include <anabranch/error.hpp>
#include <anabranch/llama/gguf_model.hpp>

// A compiled function of the part: a file that is not there is refused as such.
bool use_llama();
bool use_llama() {
  try {
    anabranch::llama::GgufModel::load("no such file");
  } catch (const anabranch::Error& error) {
    return error.status() == anabranch::Status::bad_file;
  }
  return false;
}
