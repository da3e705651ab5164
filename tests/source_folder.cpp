#include "source_folder.hpp"

std::filesystem::path test::source_folder() { return ANABRANCH_SOURCE_FOLDER; }
