#include <questions.hpp>

#include <filesystem>
#include <fstream>

#include <anabranch/error.hpp>

#include "catch.hpp"

namespace {

std::vector<std::string> read(const std::string& content) {
  const auto file = std::filesystem::temp_directory_path() / "anabranch_questions_test.txt";
  std::ofstream(file) << content;
  try {
    auto questions = chat::read_questions(file);
    std::filesystem::remove(file);
    return questions;
  } catch (...) {
    std::filesystem::remove(file);
    throw;
  }
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("questions are lines, or JSON with question, prompt or turns") {
  CHECK(read("one?\n\n  \r\ntwo?\r\n{\"turns\": [\"three?\", \"and?\"]}\n{\"prompt\": \"four?\"}\n{\"question\": "
             "\"five?\"}") == Texts{"one?", "two?", "three?", "four?", "five?"});
}

TEST_CASE("a byte order mark in front of a file is no part of its first question") {
  CHECK(read("\xef\xbb\xbfone?\ntwo?") == Texts{"one?", "two?"});
  CHECK(read("\xef\xbb\xbf{\"question\": \"one?\"}") == Texts{"one?"});
}

TEST_CASE("a bad line is named by its number") {
  const auto message = [](const std::string& content) -> std::string {
    try {
      read(content);
    } catch (const anabranch::Error& error) {
      CHECK(error.status() == anabranch::Status::bad_file);
      return error.what();
    }
    return "";
  };
  CHECK(message("fine\n{\"turns\": []}\n").find("line 2") != std::string::npos);
  CHECK(message("{broken\n").find("line 1") != std::string::npos);
  CHECK(message("\n\n").find("no question") != std::string::npos);
  CHECK(message("fine\nnot f\xefne\n").find("line 2 is no UTF-8 at byte 5 of 8") != std::string::npos);
  CHECK_THROWS_WITH(chat::read_questions("/"), "/ cannot be read: it is a folder");
  CHECK_THROWS_AS(chat::read_questions("/nonexistent"), anabranch::Error);
}
