// Random branch trees of one model through LibTorch and through llama.cpp.
#pragma once

#include <cstdint>
#include <string>

namespace anabranch::test {

/// Grows the trees of seeds [first, first + n) and runs each pass of them on both hosts, in float32. Every other tree
/// rewinds too. Prints one line: rows that were compared, the largest difference of a logit, passes that llama.cpp's
/// host refused because a window no longer holds what a row sees, and the most positions of a tree.
void compare_trees(const std::string& model, std::uint32_t first, int n);

}  // namespace anabranch::test
