#include <anabranch/hf/safetensors.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;

namespace {

std::string file_bytes(const std::string& header, const std::string& tensors) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  return bytes + header + tensors;
}

std::string file_error(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write(folder / "m.safetensors", bytes);
  std::string text = test::error_of([&] { hf::Weights::open(folder / "m.safetensors"); });
  if (const auto at = text.find(folder.path().string()); at != std::string::npos)
    text.erase(at, folder.path().string().size() + 1);
  return text;
}

std::string error_of_header(const std::string& header, std::size_t n_bytes = 8) {
  return file_error(file_bytes(header, std::string(n_bytes, '\0')));
}

std::vector<float> values(const hf::Tensor& tensor) { return hf::read_floats(tensor); }

}  // namespace

TEST_CASE("Written tensors are read back, with their shapes") {
  const test::TemporaryFolder folder;
  const std::vector<float> matrix{1, -2, 3.5f, 0, 5, 6}, scalar{7};
  const std::vector<hf::FloatTensor> tensors{{"w", {2, 3}, matrix}, {"a", {}, scalar}, {"none", {0, 4}, {}}};
  hf::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  const hf::Weights weights = hf::Weights::open(folder.path());
  REQUIRE(weights.tensors().size() == 3);
  CHECK(values(weights.require("w", {2, 3})) == matrix);
  CHECK(values(weights.require("a", {})) == scalar);
  CHECK(weights.require("none", {0, 4}).n_elements() == 0);
  CHECK(weights.find("x") == nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(weights.find("w")->bytes.data()) % alignof(float) == 0);
  CHECK(std::distance(test::fs::directory_iterator(folder.path()), test::fs::directory_iterator()) == 1);
}

TEST_CASE("F32, F16 and BF16 become floats exactly") {
  std::string data("\x00\x00\x80\x3f", 4);                                                      // F32 1
  data += std::string("\x00\x3c\x00\xc0\x01\x00\xff\x03\x00\x7c\x01\x7e\x00\x80\xff\x7b", 16);  // F16
  data += std::string("\x80\x3f\x49\xc0\x80\x7f", 6);                                           // BF16
  const std::string header = R"({"f":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
    "h":{"dtype":"F16","shape":[8],"data_offsets":[4,20]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[20,26]}})";
  const test::TemporaryFolder folder;
  test::write(folder / "m.safetensors", file_bytes(header, data));
  const hf::Weights weights = hf::Weights::open(folder / "m.safetensors");
  CHECK(values(*weights.find("f")) == std::vector<float>{1});
  const auto half = values(*weights.find("h"));
  CHECK(half[0] == 1.0f);
  CHECK(half[1] == -2.0f);
  CHECK(half[2] == std::ldexp(1.0f, -24));     // smallest
  CHECK(half[3] == std::ldexp(1023.0f, -24));  // largest subnormal
  CHECK(half[4] == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(half[5]));
  CHECK((half[6] == 0.0f && std::signbit(half[6])));
  CHECK(half[7] == 65504.0f);
  CHECK(values(*weights.find("b")) == std::vector<float>{1.0f, -3.140625f, std::numeric_limits<float>::infinity()});
  std::vector<float> small(2);
  CHECK(test::error_of([&] { hf::read_floats(*weights.find("b"), small); }).find("bad_argument: ") == 0);
}

TEST_CASE("A required tensor must be there, with its shape, in a type that becomes floats") {
  const test::TemporaryFolder folder;
  const auto file = folder / "model.safetensors";
  test::write(
      file,
      file_bytes(
          R"({"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"i":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},
    "new":{"dtype":"F4","shape":[3],"data_offsets":[16,18]}})",
          std::string(18, '\0')));
  const hf::Weights weights = hf::Weights::open(folder.path());
  const auto error = [&](const char* name, std::initializer_list<std::int64_t> shape) {
    return test::error_of([&] { weights.require(name, shape); });
  };
  CHECK(error("w", {1, 2}) == "nothing");
  CHECK(error("w", {2, 1}) == "bad_file: " + file.string() + ": tensor \"w\": expected shape [2, 1], found [1, 2]");
  CHECK(error("w", {1, 2, 1}).find("expected shape [1, 2, 1], found [1, 2]") != std::string::npos);
  CHECK(error("v", {2}) ==
        "bad_file: " + folder.path().string() + ": tensor \"v\": expected shape [2], found no such tensor among 3");
  CHECK(error("i", {1}) == "unsupported: " + file.string() + ": tensor \"i\": expected F32, F16 or BF16, found I64");
  CHECK(error("new", {3}).find("unsupported: ") == 0);
  CHECK(weights.find("i")->bytes.size() == 8);
}

TEST_CASE("Shards are found by their index") {
  const test::TemporaryFolder folder;
  const std::vector<float> one{1, 2}, two{3};
  hf::write_safetensors(folder / "model-00001-of-00002.safetensors",
                        std::vector<hf::FloatTensor>{{"a", {2}, one}, {"unused", {1}, two}});
  hf::write_safetensors(folder / "model-00002-of-00002.safetensors", std::vector<hf::FloatTensor>{{"b", {1}, two}});
  Json index{{"metadata", {{"total_size", 12}}},
             {"weight_map", {{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00002-of-00002.safetensors"}}}};
  const auto open = [&] {
    test::write(folder / "model.safetensors.index.json", index.dump());
    return hf::Weights::open(folder.path());
  };
  const hf::Weights weights = open();
  CHECK(weights.tensors().size() == 2);
  CHECK(values(weights.require("a", {2})) == one);
  CHECK(values(weights.require("b", {1})) == two);
  const auto error = [&](const char* name, const Json& file) {
    Json before = index;
    index["weight_map"][name] = file;
    std::string text = test::error_of(open);
    index = std::move(before);
    return text;
  };
  const std::string second = (folder / "model-00002-of-00002.safetensors").string();
  CHECK(error("c", "model-00002-of-00002.safetensors") ==
        "bad_file: " + second + ": tensor \"c\": expected here by model.safetensors.index.json, found nothing");
  CHECK(error("c", "model-00003.safetensors")
            .find("bad_file: cannot open " + (folder / "model-00003.safetensors").string()) == 0);
  for (const char* outside : {"../x", "/etc/passwd", "", "..", "a/b"})
    CHECK(error("c", outside).find("'c': expected a file name inside the folder, found \"") != std::string::npos);
  CHECK(error("c", 3).find("'c': expected a file name, found 3") != std::string::npos);
  index.erase("weight_map");
  CHECK(test::error_of(open).find("'weight_map': expected an object, found nothing") != std::string::npos);
  test::write(folder / "model.safetensors.index.json", "{");
  CHECK(test::error_of([&] {
          hf::Weights::open(folder.path());
        }).find("model.safetensors.index.json: not valid JSON") != std::string::npos);
}

TEST_CASE("A folder or file without weights is refused with its name") {
  const test::TemporaryFolder folder;
  CHECK(test::error_of([&] { hf::Weights::open(folder.path()); }) ==
        "bad_file: " + folder.path().string() +
            ": expected model.safetensors or model.safetensors.index.json, found neither");
  test::write(folder / "pytorch_model.bin", "x");
  CHECK(test::error_of([&] {
          hf::Weights::open(folder.path());
        }).find("found pytorch_model.bin, which cannot be read") != std::string::npos);
  CHECK(test::error_of([&] { hf::Weights::open(folder / "none"); }) ==
        "bad_file: cannot open " + (folder / "none").string() + ": No such file or directory");
  test::fs::create_directory(folder / "model.safetensors");
  CHECK(test::error_of([&] { hf::Weights::open(folder.path()); }).find("expected a regular file") != std::string::npos);
}

TEST_CASE("Truncated files and headers that are too long are refused") {
  CHECK(file_error("") == "bad_file: m.safetensors: truncated: expected at least 8 bytes, found 0");
  CHECK(file_error("1234567") == "bad_file: m.safetensors: truncated: expected at least 8 bytes, found 7");
  CHECK(file_error(std::string("\x10\0\0\0\0\0\0\0{}", 10)) ==
        "bad_file: m.safetensors: truncated: expected a header of 16 bytes, found 2");
  CHECK(file_error(std::string(8, '\xff')) ==
        "bad_file: m.safetensors: header too long: expected at most 100000000 bytes, found a length of "
        "18446744073709551615");
  CHECK(error_of_header(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})") ==
        "bad_file: m.safetensors: tensor \"a\": truncated: expected its bytes to end at 16, found 8 bytes behind the "
        "header");
}

TEST_CASE("Headers that do not describe the file are refused") {
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return std::string(R"({"a":{"dtype":)") + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const char* f32 = "\"F32\"";
  CHECK(error_of_header(entry(f32, "[2]", "[0,8]")) == "nothing");
  CHECK(error_of_header("{").find("bad_file: m.safetensors: header: not valid JSON") == 0);
  CHECK(error_of_header("[]") ==
        "bad_file: m.safetensors: header: expected a JSON object, found an array of 0 entries");
  CHECK(error_of_header("{\"a\":1}") == "bad_file: m.safetensors: tensor \"a\": expected a JSON object, found 1");
  CHECK(error_of_header(std::string(5000, '[')).find("nested deeper") != std::string::npos);
  CHECK(error_of_header(entry("3", "[2]", "[0,8]")).find("'dtype': expected a string, found 3") != std::string::npos);
  CHECK(error_of_header(entry(f32, "2", "[0,8]")).find("'shape': expected an array, found 2") != std::string::npos);
  CHECK(error_of_header(entry(f32, "[-2]", "[0,8]")).find("'shape': expected sizes of at least 0, found -2") !=
        std::string::npos);
  CHECK(error_of_header(entry(f32, "[2.0]", "[0,8]")).find("found 2.0") != std::string::npos);
  CHECK(error_of_header(entry(f32, "[2]", "[8,0]")).find("'data_offsets': expected two ascending offsets") !=
        std::string::npos);
  CHECK(error_of_header(entry(f32, "[2]", "[0]")).find("'data_offsets': expected two ascending offsets") !=
        std::string::npos);
  CHECK(error_of_header(entry(f32, "[2]", "[-1,8]")).find("'data_offsets': expected two ascending offsets") !=
        std::string::npos);
  CHECK(error_of_header(entry(f32, "[3]", "[0,8]")) ==
        "bad_file: m.safetensors: tensor \"a\": expected 12 bytes for F32 [3], found 8");
  CHECK(
      error_of_header(entry(f32, "[4294967296,4294967296,4294967296]", "[0,8]")).find("expected 2^64 or more bytes") !=
      std::string::npos);
  CHECK(error_of_header(entry(f32, "[4611686018427387904]", "[0,0]")).find("expected 2^64 or more bytes") !=
        std::string::npos);
  CHECK(error_of_header(entry(f32, "[2]", "[0,8]"), 12) ==
        "bad_file: m.safetensors: expected 8 bytes behind the header, found 12");
  const std::string two = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)";
  CHECK(error_of_header("{" + two + R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})")
            .find("found 2 (overlaps another tensor)") != std::string::npos);
  CHECK(error_of_header("{" + two + R"("b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}})")
            .find("found 6 (a hole)") != std::string::npos);
  CHECK(error_of_header("{" + two + two.substr(0, two.size() - 1) + "}").find("key \"a\" is there twice") !=
        std::string::npos);
}

TEST_CASE("A file with changed bytes is either refused or read without leaving it") {
  const test::TemporaryFolder folder;
  const std::vector<float> first(40, 1.5f), second(7, 2.5f);
  hf::write_safetensors(folder / "good",
                        std::vector<hf::FloatTensor>{{"layers.0.w", {5, 8}, first}, {"norm", {7}, second}});
  const std::string good = test::read(folder / "good");
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bad = good;
    const std::size_t reach =
        round % 3 == 0 ? bad.size() : std::min<std::size_t>(bad.size(), 170);  // mostly the header
    for (int n = 0; n < 1 + round % 3; ++n) {
      const char digits[] = "0123456789,[]{}\"";
      bad[random() % reach] = round % 2 ? digits[random() % 16] : static_cast<char>(random() % 256);
    }
    if (round % 7 == 0) bad.resize(random() % bad.size());
    test::write(folder / "bad", bad);
    try {
      const hf::Weights weights = hf::Weights::open(folder / "bad");
      for (const auto& [name, tensor] : weights.tensors())
        if (tensor.dtype != hf::Dtype::other) values(tensor);
    } catch (const anabranch::Error& error) {
      ++refused;
      INFO("round " << round << ": " << error.what());
      CHECK(error.status() == anabranch::Status::bad_file);
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("What cannot be written is refused and leaves the old file and no other") {
  const test::TemporaryFolder folder;
  const std::vector<float> one{1};
  const auto file = folder / "m.safetensors";
  test::write(file, "old");
  const auto write = [&](std::vector<hf::FloatTensor> tensors) {
    return test::error_of([&] { hf::write_safetensors(file, tensors); });
  };
  CHECK(write({{"a", {2}, one}}) ==
        "bad_argument: tensor \"a\": expected as many values as the shape [2] has, found 1");
  CHECK(write({{"a", {-1}, one}}).find("bad_argument: ") == 0);
  CHECK(write({{"a", {1}, one}, {"a", {1}, one}}) == "bad_argument: tensor \"a\": the name is reserved or there twice");
  CHECK(write({{"__metadata__", {1}, one}}).find("reserved") != std::string::npos);
  CHECK(write({{"\xff", {1}, one}}).find("bad_argument: names and metadata must be UTF-8") == 0);
  CHECK(test::read(file) == "old");
  const std::vector<hf::FloatTensor> fine{{"a", {1}, one}};
  CHECK(test::error_of([&] {
          hf::write_safetensors(folder / "no/such/folder", fine);
        }).find("bad_file: cannot create ") == 0);
  test::fs::create_directory(folder / "taken");
  CHECK(test::error_of([&] { hf::write_safetensors(folder / "taken", fine); }).find("bad_file: cannot write ") == 0);
  CHECK(std::distance(test::fs::directory_iterator(folder.path()), test::fs::directory_iterator()) == 2);
}
