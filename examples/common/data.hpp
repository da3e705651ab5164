// The files of this repository that examples take when none are named, wherever the program was started.
#pragma once

#include <string>

namespace example {

/// `name`, a path in the repository, as a path that can be opened: in the tree that the program was configured in, else
/// in a folder above the program, else as it is, below the working directory. Needs not exist.
std::string data(const std::string& name);

}  // namespace example
