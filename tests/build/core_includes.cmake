# Fails when a core header includes anything but the standard library and other core headers. <iostream> and <regex>
# are refused for what they cost every user, <ranges> because clang 14 cannot take the views of libstdc++ 12. Of all
# headers each begins with version.hpp, by itself or by another one, so that an older C++ is refused in one sentence.
#     cmake -DHEADERS=<list> -DALL_HEADERS=<list> -P core_includes.cmake

cmake_minimum_required(VERSION 3.25)

set(standard
  algorithm any array atomic barrier bit bitset charconv chrono codecvt compare complex concepts condition_variable
  coroutine deque exception execution filesystem forward_list fstream functional future initializer_list iomanip ios
  iosfwd istream iterator latch limits list locale map memory memory_resource mutex new numbers numeric optional ostream
  queue random ratio scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token
  streambuf string string_view system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set
  utility valarray variant vector version
  cassert cctype cerrno cfenv cfloat cinttypes climits clocale cmath csetjmp csignal cstdarg cstddef cstdint cstdio
  cstdlib cstring ctime cuchar cwchar cwctype)

set(n_bad 0)
foreach(file IN LISTS HEADERS)
  file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*(include|import)")
  foreach(line IN LISTS lines)
    if(line MATCHES "<anabranch/(attention|cuda|eigen|hf|linear|llama|mpi|torch)/" OR line MATCHES "<anabranch/fmt\\.hpp>")
      set(reason "an optional part")
    elseif(line MATCHES "<anabranch/[a-z0-9_/]+\\.hpp>" OR line MATCHES "^#include <needs_cpp20> ")
      continue()
    elseif(line MATCHES "<([a-z_]+)>" AND CMAKE_MATCH_1 IN_LIST standard)
      continue()
    else()
      set(reason "neither a core header nor an allowed standard one")
    endif()
    message("${file}: ${line}: ${reason}")
    math(EXPR n_bad "${n_bad} + 1")
  endforeach()
endforeach()

foreach(file IN LISTS ALL_HEADERS)
  file(STRINGS "${file}" lines REGEX "^#include <anabranch/")
  if(NOT lines AND NOT file MATCHES "/anabranch/version\\.hpp$")
    message("${file}: includes no header of ours: it must include <anabranch/version.hpp>")
    math(EXPR n_bad "${n_bad} + 1")
  endif()
endforeach()

list(LENGTH HEADERS n_headers)
if(n_headers EQUAL 0)
  message(FATAL_ERROR "no core headers were given")
elseif(n_bad GREATER 0)
  message(FATAL_ERROR "${n_bad} headers or includes that are wrong")
endif()
message("${n_headers} core headers looked at")
