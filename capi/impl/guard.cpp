#include "guard.hpp"

#include <cstring>

namespace anabranch::capi {
namespace {

constexpr std::size_t kTextSize = 1024;
thread_local char t_text[kTextSize];

}  // namespace

const char* last_text() noexcept { return t_text; }

anb_status report(Status status, const char* text) noexcept {
  std::size_t n = std::strlen(text);
  if (n >= kTextSize) {
    n = kTextSize - 1;
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0u) == 0x80u) --n;  // whole characters only
  }
  std::memmove(t_text, text, n);
  t_text[n] = '\0';
  return to_c(status);
}

anb_status report_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return report(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return report(Status::out_of_memory, "out of memory: an allocation was refused; nothing has changed");
  } catch (const std::length_error&) {
    return report(Status::out_of_memory, "out of memory: more was asked for than can be addressed");
  } catch (const std::exception& error) {
    return report(Status::internal, error.what());
  } catch (...) {
    return report(Status::internal, "an exception of an unknown type");
  }
}

}  // namespace anabranch::capi
