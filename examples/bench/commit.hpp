// The commit that the program was built from; commit.cmake writes it at every build.
#pragma once

namespace anabranch::bench {

extern const char* const kCommit;  ///< short, with `-dirty` where files were changed; empty: not known

}  // namespace anabranch::bench
