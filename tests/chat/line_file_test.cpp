// A file of lines that several runs add to.
#include <line_file.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "catch.hpp"

namespace {

namespace ab = anabranch;

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("half a line at the end of a file, of a run that was killed, is cut off before lines are added") {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "anabranch_line_file_test.jsonl";
  for (const char* before : {"", "{}\n", "{}\n{\"id\": 1", "{\"id"}) {
    std::ofstream(path, std::ios::binary) << before;
    const std::string whole = std::string(before).substr(0, std::string(before).rfind('\n') + 1);
    {
      example::LineFile file(path.string());
      CHECK(bytes_of(path) == whole);
      file.write("[1]");
      file.flush();
      CHECK(bytes_of(path) == whole + "[1]\n");
    }
  }
  std::filesystem::remove(path);
}

TEST_CASE("lines that do not arrive are an error, and so is a file that cannot be written") {
  example::LineFile().flush();  // no file, nothing to lose
  const auto refusal = [](const std::string& path) {
    try {
      example::LineFile file(path);
      file.write("[1]");
      file.flush();
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_file);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal("/nonexistent/file") == "cannot write /nonexistent/file: No such file or directory");
  CHECK(refusal("/") == "cannot write /: Is a directory");
  if (std::filesystem::exists("/dev/full"))
    CHECK(refusal("/dev/full") == "cannot write /dev/full: No space left on device");
}
