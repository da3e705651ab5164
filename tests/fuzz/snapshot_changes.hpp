// Changes to a snapshot that a damaged file, another version or somebody with bad intent might make.
#pragma once

#include <cstddef>
#include <vector>

#include <anabranch/cache/snapshot.hpp>

#include "input.hpp"

namespace fuzz {

/// Changes bytes behind the header, or their number, and repairs the header: length and checksum are right.
void change_bytes(Input& input, std::vector<std::byte>& bytes);
/// Changes a field, any of them, or the elements of a list.
void change_field(Input& input, anabranch::Snapshot& snapshot);
/// Makes what follows from other fields follow from them again, as far as the input wants: counts of references, of
/// tokens and of pages, and so on. A change then reaches the checks behind these.
void repair(Input& input, anabranch::Snapshot& snapshot);

}  // namespace fuzz
