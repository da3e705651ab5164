// Version and last error of the library.
#include "guard.hpp"

using namespace anabranch;

uint32_t anb_version(void) { return ANB_VERSION_MAJOR << 16 | ANB_VERSION_MINOR << 8 | ANB_VERSION_PATCH; }

const char* anb_status_name(anb_status status) { return status_name(static_cast<Status>(status)); }

const char* anb_last_error(void) { return capi::last_text(); }
