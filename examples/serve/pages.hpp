// The files that the server has in itself: made by pages.cmake.
#pragma once

#include <string_view>

namespace serve {

std::string_view chat_page();         ///< pages/chat.html
std::string_view running_page();      ///< pages/running.html
std::string_view openapi_document();  ///< openapi.json

}  // namespace serve
