#include "guard.hpp"

#include <cstring>

namespace anabranch::capi {
namespace {

constexpr std::size_t kTextSize = 1024;
thread_local char t_text[kTextSize];

}  // namespace

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

using namespace anabranch;

uint32_t anb_version(void) { return ANB_VERSION_MAJOR << 16 | ANB_VERSION_MINOR << 8 | ANB_VERSION_PATCH; }

const char* anb_status_name(anb_status status) { return status_name(static_cast<Status>(status)); }

const char* anb_last_error(void) { return capi::t_text; }
