#include <anabranch/error.hpp>
#include <anabranch/train/model.hpp>

// Links and starts LibTorch; a folder that is not there is refused as such.
int main() {
  try {
    anabranch::train::Model::load("no such folder", {});
  } catch (const anabranch::Error& error) {
    return error.status() == anabranch::Status::bad_file ? 0 : 1;
  }
  return 1;
}
