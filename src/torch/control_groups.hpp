// The control groups of this process, which may limit its memory and its processors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch::torch {

enum class GroupVersion { one, two };

struct ControlGroup {
  std::filesystem::path folder;  ///< that has its files
  std::string name;              ///< "/x"
  GroupVersion version = GroupVersion::two;
};

/// Where the system tells of them.
struct GroupFiles {
  std::filesystem::path of_process = "/proc/self/cgroup";
  std::filesystem::path root = "/sys/fs/cgroup";
};

/// The groups that `controller` ("memory", "cpu") may limit the process by, and those above them. A folder need not
/// exist: a container sees part of the tree.
std::vector<ControlGroup> control_groups(std::string_view controller, const GroupFiles& files = {});

}  // namespace anabranch::torch
