// Golden cases: what another program says the positions and masks of a branched text must be.
//
// The format is described in tests/goldens/README.md. Reading is strict: a file that is not exactly that format is
// refused with the number of the offending line, so that "all agree" cannot come from cases that were not understood.
#pragma once

#include <cstdint>
#include <exception>
#include <istream>
#include <string>
#include <utility>
#include <vector>

namespace anabranch::test {

/// Half-open interval of flat token indices.
struct FlatInterval {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  friend bool operator==(const FlatInterval&, const FlatInterval&) = default;
};

/// Serial tokens, or a block of adjacent branches.
struct GoldenItem {
  std::int32_t serial = 0;             ///< tokens outside branches; 0 for a block
  std::vector<std::int32_t> branches;  ///< tokens per branch, tags included; empty for serial tokens
  bool is_block() const { return !branches.empty(); }
};

enum class GoldenMode { normal, max_para, fixrange };

struct GoldenCase {
  int line = 0;  ///< line of the file, from 1
  std::vector<GoldenItem> items;
  GoldenMode mode = GoldenMode::normal;
  std::vector<std::int32_t> positions;          ///< [n_tokens]
  std::vector<std::vector<FlatInterval>> mask;  ///< [n_tokens], ascending, disjoint, never touching
  std::int32_t n_tokens() const { return static_cast<std::int32_t>(positions.size()); }
};

/// The file cannot be used; the text names the line and what is wrong.
class GoldenFileError : public std::exception {
 public:
  explicit GoldenFileError(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// Reads all cases; blank lines are skipped. Throws GoldenFileError as "NAME:LINE: what is wrong".
std::vector<GoldenCase> read_golden_cases(std::istream& in, const std::string& name);

}  // namespace anabranch::test
