#include <anabranch/error.hpp>
#include <anabranch/hf/config.hpp>

// A compiled function of the part: a folder that is not there is refused as such.
bool use_hf();
bool use_hf() {
  try {
    anabranch::hf::ModelConfig::load("no such folder");
  } catch (const anabranch::Error& error) {
    return error.status() == anabranch::Status::bad_file;
  }
  return false;
}
