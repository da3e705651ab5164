/// The checkout that the tests were built in, for the files that they read.
///
/// Never __FILE__: a compiler cache gives one object to several checkouts, and the object names the first of them.
#pragma once

#include <filesystem>

namespace test {

std::filesystem::path source_folder();

}  // namespace test
