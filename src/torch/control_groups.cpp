#include "control_groups.hpp"

#include <fstream>

namespace anabranch::torch {
namespace {

void add_with_those_above(std::vector<ControlGroup>& groups, const std::filesystem::path& root,
                          std::filesystem::path name, GroupVersion version) {
  for (name = name.relative_path();; name = name.parent_path()) {
    groups.push_back({root / name, "/" + name.string(), version});
    if (name.empty()) return;
  }
}

}  // namespace

std::vector<ControlGroup> control_groups(std::string_view controller, const GroupFiles& files) {
  const std::string wanted = "," + std::string(controller) + ",";
  std::vector<ControlGroup> groups;
  std::ifstream in(files.of_process);  // lines of number:controllers:path; without controllers: version 2
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string name = line.substr(second + 1);
    if (controllers == ",,") add_with_those_above(groups, files.root, name, GroupVersion::two);
    if (controllers.find(wanted) != std::string::npos)
      add_with_those_above(groups, files.root / controller, name, GroupVersion::one);
  }
  return groups;
}

}  // namespace anabranch::torch
