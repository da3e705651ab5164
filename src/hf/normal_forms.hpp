// The four normal forms of Unicode Annex 15: decompose, order the combining marks, and for two of them compose.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// The text in a normal form, as the Python package `tokenizers` gives it: characters that are newer than its tables
/// stay as they are. Requires well-formed UTF-8. Cost: linear, n log n for runs of combining marks.
std::string normal_form(std::string_view text, NormalForm form);

}  // namespace anabranch::hf::impl
