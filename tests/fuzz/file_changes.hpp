// Changed files: some bytes, and what a file of that format is likely to hold.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "file_kinds.hpp"

namespace fuzz {

/// The file with one to four changes; pieces of `others` may come into it, which are not empty.
std::string changed_file(Format format, std::string_view bytes, const std::vector<std::string>& others,
                         std::mt19937_64& random);

}  // namespace fuzz
