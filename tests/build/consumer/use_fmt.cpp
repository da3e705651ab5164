#include <anabranch/anabranch.hpp>
#include <anabranch/fmt.hpp>

bool use_fmt();
bool use_fmt() {
  anabranch::KvCache cache({.n_pages = 4});
  const anabranch::LineId line = cache.create_line();
  return anabranch::draw(cache, line).find("line 0.") == 0 &&
         fmt::format("{}", anabranch::Status::no_room) == "no_room";
}
