// Changes to JSON text that leave it JSON: values of other kinds, other numbers and texts, keys taken away or doubled.
#pragma once

#include <random>
#include <string>
#include <string_view>

namespace fuzz {

/// The text with one to four changes; other bytes if it is no JSON.
std::string changed_json(std::string_view text, std::mt19937_64& random);

}  // namespace fuzz
