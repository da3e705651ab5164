#include "data.hpp"

#include <filesystem>
#include <system_error>

namespace example {

std::string data(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path here = fs::path(EXAMPLE_ROOT) / name;
  if (fs::exists(here, error)) return here.string();
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (fs::path folder = program.parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    if (fs::exists(folder / name, error)) return (folder / name).string();
  return name;
}

}  // namespace example
