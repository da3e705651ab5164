#include "structs.hpp"

namespace anabranch::capi {

void check_size(const void* bytes, std::uint32_t size, std::size_t least, std::size_t known, const char* name) {
  if (size < least)
    fail(Status::bad_argument, name, ": struct_size is ", size, "; at least ", least,
         " is needed (was it initialised?)");
  for (std::size_t i = known; i < size; ++i)
    if (static_cast<const unsigned char*>(bytes)[i] != 0)
      fail(Status::bad_argument, name, ": byte ", i, " of ", size, " is set, but this library knows only the first ",
           known);
}

}  // namespace anabranch::capi
