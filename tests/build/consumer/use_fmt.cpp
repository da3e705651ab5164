#include <anabranch/anabranch.hpp>
#include <anabranch/fmt.hpp>

bool use_fmt();
bool use_fmt() {
  anabranch::KvCache cache({.n_pages = 4});
  const anabranch::SequenceId sequence = cache.create_sequence();
  return anabranch::draw(cache, sequence).find("sequence 0.") == 0 &&
         fmt::format("{}", anabranch::Status::no_room) == "no_room";
}
