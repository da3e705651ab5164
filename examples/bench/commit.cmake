# Writes OUTPUT, the C++ file with the commit of the repository in SOURCE, unless it is written already. A build of
# anabranch-bench runs it.
cmake_path(GET SOURCE PARENT_PATH above)
set(ENV{GIT_CEILING_DIRECTORIES} "${above}")  # a repository around this one has other commits
execute_process(COMMAND git --no-optional-locks -C "${SOURCE}" describe --always --dirty "--exclude=*"
  OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
  set(commit "")
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "commit.hpp"

const char* const anabranch::bench::kCommit = "@commit@";
]] @ONLY)
