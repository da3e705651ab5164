// The header of a GGUF file: what it says, and that damaged ones are refused.
#include <cstring>
#include <limits>

#include <anabranch/hf/gguf.hpp>
#include <anabranch/hf/model_weights.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "catch.hpp"
#include "hf/files.hpp"
#include "hf/gguf_writer.hpp"

namespace {

namespace hf = anabranch::hf;
using test::GgufWriter;

std::string error_of_file(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write(folder / "m.gguf", bytes);
  std::string text = test::error_of([&] { hf::gguf_files(folder / "m.gguf"); });
  const std::string path = (folder / "m.gguf").string();
  if (const std::size_t at = text.find(path); at != text.npos) text.replace(at, path.size(), "FILE");
  return text;
}

GgufWriter some_file() {
  GgufWriter file;
  file.text("general.architecture", "llama")
      .integer("a.u32", 7)
      .texts("a.texts", {"one", "", "three"})
      .integers("a.integers", {1, -2, 3})
      .floats("x", {2, 3}, {1, 2, 3, 4, 5, 6})
      .floats("y", {3}, {7, 8, 9});
  return file;
}

/// Replaces a number in the header that stands behind the first `after`.
template <class T>
std::string with_number(std::string bytes, std::string_view after, T number) {
  const std::size_t at = bytes.find(after) + after.size();
  std::memcpy(bytes.data() + at, &number, sizeof number);
  return bytes;
}

}  // namespace

TEST_CASE("a GGUF file is known by its name or by its first bytes") {
  const test::TemporaryFolder folder;
  test::write(folder / "model", some_file().bytes());
  test::write(folder / "other", "GGU");
  std::filesystem::create_directories(folder / "folder.gguf");
  CHECK(hf::is_gguf(folder / "model"));
  CHECK(hf::is_gguf(folder / "none.gguf"));
  CHECK_FALSE(hf::is_gguf(folder / "other"));
  CHECK_FALSE(hf::is_gguf(folder / "none"));
  CHECK_FALSE(hf::is_gguf(folder / "folder.gguf"));
  CHECK_FALSE(hf::is_gguf(folder.path()));
  CHECK_THAT(test::error_of([&] { hf::Tokenizer::load(folder / "none.gguf"); }),
             Catch::Matchers::StartsWith("bad_file: cannot open ") && Catch::Matchers::Contains("none.gguf"));
}

TEST_CASE("versions 2 and 3 of GGUF are read, others are refused") {
  CHECK(error_of_file(some_file().bytes(2)) == "nothing");
  CHECK(error_of_file(some_file().bytes(3)) == "nothing");
  CHECK(error_of_file(some_file().bytes(1)) == "unsupported: FILE: version 1 is not supported; supported are 2 and 3");
  CHECK(error_of_file(some_file().bytes(4)) == "unsupported: FILE: version 4 is not supported; supported are 2 and 3");
  CHECK(error_of_file(some_file().bytes(0x03000000)) ==
        "unsupported: FILE: version 50331648: a big-endian file is not supported");
  CHECK(error_of_file("GGML" + some_file().bytes().substr(4)) ==
        "bad_file: FILE: expected a file that begins with \"GGUF\"");
}

TEST_CASE("a GGUF file that is cut anywhere is refused by name") {
  const std::string whole = some_file().bytes();
  CHECK(error_of_file(whole) == "nothing");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    INFO(n << " bytes of " << whole.size());
    const std::string error = error_of_file(whole.substr(0, n));
    CHECK_THAT(error, Catch::Matchers::StartsWith("bad_file: FILE: "));
  }
  CHECK(error_of_file(whole + "behind the last tensor") == "nothing");
}

TEST_CASE("counts in a GGUF header are held against the bytes that are there") {
  const std::string bytes = some_file().bytes();
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  for (const std::uint64_t n : {kHuge, std::numeric_limits<std::uint64_t>::max(), std::uint64_t{1} << 32}) {
    INFO(n);
    std::string changed = bytes;
    std::memcpy(changed.data() + 8, &n, sizeof n);
    CHECK_THAT(error_of_file(changed), Catch::Matchers::StartsWith("bad_file: FILE: truncated: expected entries of"));
    changed = bytes;
    std::memcpy(changed.data() + 16, &n, sizeof n);
    CHECK_THAT(error_of_file(changed), Catch::Matchers::StartsWith("bad_file: FILE: truncated: expected"));
    const auto array = [&](const char* key) {
      return with_number(bytes,
                         std::string(key) + GgufWriter::raw<std::uint32_t>(9) +
                             GgufWriter::raw<std::uint32_t>(std::string_view(key) == "a.texts" ? 8 : 5),
                         n);
    };
    for (const char* key : {"a.texts", "a.integers"})
      CHECK_THAT(error_of_file(array(key)),
                 Catch::Matchers::StartsWith("bad_file: FILE: truncated: expected ") && Catch::Matchers::Contains(key));
    const std::string one = GgufWriter::raw_text("one");
    changed = bytes;
    std::memcpy(changed.data() + changed.find(one), &n, sizeof n);
    CHECK_THAT(error_of_file(changed), Catch::Matchers::StartsWith("bad_file: FILE: truncated: expected "));
    CHECK_THAT(error_of_file(with_number(bytes, GgufWriter::raw_text("x") + GgufWriter::raw<std::uint32_t>(2), n)),
               Catch::Matchers::StartsWith("bad_file: FILE: tensor \"x\": expected sizes from 1 to 2147483647, found"));
  }
}

TEST_CASE("wrong entries of a GGUF header are refused with what was expected") {
  CHECK(error_of_file(some_file().integer("a.u32", 1).bytes()) ==
        "bad_file: FILE: 'a.u32': expected it once, found it again");
  CHECK(error_of_file(GgufWriter().value("k", 13, "").bytes()) ==
        "bad_file: FILE: 'k': expected a type of metadata from 0 to 12, found 13");
  CHECK(error_of_file(GgufWriter().value("k", 9, GgufWriter::raw<std::uint32_t>(9)).bytes()) ==
        "unsupported: FILE: 'k': an array of arrays");
  CHECK_THAT(error_of_file(GgufWriter().integer("", 1).bytes()),
             Catch::Matchers::Contains("expected UTF-8 text without zero bytes"));
  CHECK(error_of_file(some_file().integer("general.alignment", 24).bytes()) ==
        "bad_file: FILE: 'general.alignment': expected a power of two, found 24");
  CHECK_THAT(error_of_file(some_file().integer("general.alignment", 64).bytes()),
             Catch::Matchers::Contains("tensor \"y\": expected its bytes to begin at 64, found 32"));
  CHECK(error_of_file(GgufWriter().tensor("x", {2, 2, 2, 2, 2}, 0, std::string(128, '\0')).bytes()) ==
        "bad_file: FILE: tensor \"x\": expected 1 to 4 dimensions, found 5");
  CHECK(error_of_file(GgufWriter().tensor("x", {2, 48}, 2, std::string(54, '\0')).bytes()) ==
        "bad_file: FILE: tensor \"x\": expected rows of whole blocks of 32 values for Q4_0, found 48");
  const std::uint64_t most = 0x7fffffff;
  CHECK_THAT(error_of_file(GgufWriter().tensor("x", {most, most, most}, 0, "").bytes()),
             Catch::Matchers::Contains("tensor \"x\": expected less than 2^64 bytes"));
  CHECK_THAT(error_of_file(GgufWriter().tensor("x", {most, most}, 0, "").bytes()),
             Catch::Matchers::Contains("tensor \"x\": truncated: expected "));
}

TEST_CASE("types of tensors that are not read are refused by their names") {
  CHECK(error_of_file(GgufWriter().tensor("blk.0.attn_q.weight", {1, 256}, 16, "").bytes()) ==
        "unsupported: FILE: tensor \"blk.0.attn_q.weight\": ggml type 16 (IQ2_XXS) is not supported; supported are "
        "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K and BF16");
  CHECK_THAT(error_of_file(GgufWriter().tensor("x", {1, 256}, 11, "").bytes()),
             Catch::Matchers::Contains("ggml type 11 (Q3_K) is not supported"));
  CHECK_THAT(error_of_file(GgufWriter().tensor("x", {1, 32}, 39, "").bytes()),
             Catch::Matchers::Contains("ggml type 39 (MXFP4) is not supported"));
  CHECK_THAT(error_of_file(GgufWriter().tensor("x", {1, 32}, 4711, "").bytes()),
             Catch::Matchers::Contains("ggml type 4711 is not supported"));
}

TEST_CASE("a split GGUF file is read from any of its parts") {
  const test::TemporaryFolder folder;
  const auto part = [](std::uint32_t number, std::uint32_t count) {
    GgufWriter out;
    if (number == 0) out = test::tiny_gguf("llama");
    return out.integer("split.no", number).integer("split.count", count).integer("split.tensors.count", 20);
  };
  GgufWriter whole = test::tiny_gguf("llama"), first = part(0, 2), second = part(1, 2);
  add_tiny_tensors(whole, "llama");
  add_tiny_tensors(second, "llama");
  const test::fs::path one = folder / "m-00001-of-00002.gguf", two = folder / "m-00002-of-00002.gguf";
  first.write(one);
  CHECK_THAT(test::error_of([&] { hf::gguf_files(one); }),
             Catch::Matchers::Contains("expected its part 2 of 2 in ") && Catch::Matchers::Contains(two.string()));
  second.write(two);
  for (const test::fs::path& named : {one, two}) {
    CHECK(hf::gguf_files(named) == std::vector{one, two});
    CHECK(hf::ModelConfig::load(named).n_layers == 2);
    CHECK(hf::Weights::open(named).tensors().size() == 20);
  }
  whole.write(folder / "whole.gguf");
  CHECK(hf::Weights::open(folder / "whole.gguf").tensors().size() == 20);
  first.write(two);
  CHECK_THAT(test::error_of([&] { hf::gguf_files(one); }),
             Catch::Matchers::Contains("'split.no': expected 1 of 2, found 0 of 2"));
  first.write(folder / "m.gguf");
  CHECK_THAT(test::error_of([&] { hf::gguf_files(folder / "m.gguf"); }),
             Catch::Matchers::Contains("'split.count': expected a file name that ends in \"-00001-of-00002.gguf\""));
  part(0, 0xffffffff).write(one);
  CHECK_THAT(test::error_of([&] { hf::gguf_files(one); }),
             Catch::Matchers::Contains("'split.count': expected an integer"));
  part(2, 2).write(one);
  CHECK_THAT(test::error_of([&] { hf::gguf_files(one); }), Catch::Matchers::Contains("'split.no': expected a number"));
}
