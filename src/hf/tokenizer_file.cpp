#include "tokenizer_file.hpp"

#include <limits>
#include <utility>

namespace anabranch::hf::impl {
namespace {

constexpr std::size_t kDeepest = 64;

// Takes the parser's events: those inside the two lists go into them, all others become JSON values.
class FileReader final : public nlohmann::json_sax<Json> {
 public:
  FileReader(const std::string& name, TokenId max_id) : name_(name), max_id_(max_id) {}
  TokenizerFile take() { return std::move(file_); }

  bool null() override { return value(nullptr); }
  bool boolean(bool b) override { return value(b); }
  bool number_integer(number_integer_t n) override { return value(n); }
  bool number_unsigned(number_unsigned_t n) override { return value(n); }
  bool number_float(number_float_t n, const string_t&) override { return value(n); }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool string(string_t& text) override {
    if (list_ == List::merges && depth_ == 3) return add_merge(text);
    if (list_ == List::merges && depth_ == 4) return add_part(text);
    return value(std::move(text));
  }
  bool start_object(std::size_t) override { return start(Json::object()); }
  bool start_array(std::size_t) override { return start(Json::array()); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool key(string_t& text) override {
    if (list_ == List::vocabulary && depth_ == 3)
      entry_ = kept(text);
    else if (list_ == List::none)
      open_.back().key = std::move(text);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& problem) override {
    fail(Status::bad_file, name_, ": not valid JSON: ", problem.what());
  }

 private:
  enum class List : std::uint8_t { none, vocabulary, merges };
  struct Open {
    Json* value;
    std::string key;  ///< of an object: the last one
  };

  // The place of a new value outside the lists.
  Json& place() {
    if (open_.empty()) return file_.rest;
    Open& open = open_.back();
    if (open.value->is_array()) return open.value->emplace_back();
    return (*open.value)[open.key];
  }

  bool value(Json value) {
    if (list_ == List::none)
      place() = std::move(value);
    else if (list_ == List::vocabulary && depth_ == 3)
      add_entry(value);
    else if (list_ == List::merges && depth_ == 3)
      wrong_merge("two tokens", shown(value));
    else
      n_parts_ += 3;  // not a text
    return true;
  }

  bool start(Json empty) {
    if (++depth_ > kDeepest) fail(Status::bad_file, name_, ": JSON nested deeper than the limit of ", kDeepest);
    if (list_ == List::none) return open(std::move(empty));
    if (list_ == List::vocabulary) wrong_id(empty.is_object() ? "an object" : "an array");
    if (depth_ == 4 && empty.is_object()) wrong_merge("two tokens", "an object");
    n_parts_ = depth_ == 4 ? 0 : n_parts_ + 3;
    return true;
  }

  bool open(Json empty) {
    const bool in_root = depth_ == 2 && open_.back().value->is_object();
    const bool in_model = depth_ == 3 && in_model_;
    const std::string key = open_.empty() ? "" : open_.back().key;
    if (in_root) in_model_ = key == "model" && empty.is_object();
    if (in_root && in_model_) restart();
    if (in_model && key == "vocab" && empty.is_object()) return begin(List::vocabulary);
    if (in_model && key == "merges" && empty.is_array()) return begin(List::merges);
    Json& at = place();
    at = std::move(empty);
    open_.push_back({&at, {}});
    return true;
  }

  // A key that is there twice: the last one counts.
  void restart() {
    file_.has_vocabulary = file_.has_merges = false;
    file_.vocabulary.clear();
    file_.merges.clear();
  }
  bool begin(List list) {
    list_ = list;
    (list == List::vocabulary ? file_.has_vocabulary : file_.has_merges) = true;
    list == List::vocabulary ? file_.vocabulary.clear() : file_.merges.clear();
    return true;
  }

  bool end() {
    --depth_;
    if (list_ == List::none) {
      open_.pop_back();
    } else if (depth_ == 2) {
      list_ = List::none;
    } else if (list_ == List::merges && depth_ == 3) {
      if (n_parts_ != 2) wrong_merge("two tokens", "an array of other than two texts");
      file_.merges.push_back({parts_[0], parts_[1]});
    }
    return true;
  }

  TokenizerFile::Text kept(std::string_view text) {
    if (file_.texts.size() + text.size() > std::numeric_limits<std::uint32_t>::max())
      fail(Status::bad_file, name_, ": tokens of more than 4 GiB");
    const TokenizerFile::Text at{static_cast<std::uint32_t>(file_.texts.size()),
                                 static_cast<std::uint32_t>(text.size())};
    file_.texts += text;
    return at;
  }

  void add_entry(const Json& value) {
    const auto id = token_id(value);
    if (!id || *id > max_id_) wrong_id(shown(value));
    file_.vocabulary.push_back({entry_, *id});
  }

  // "left right"
  bool add_merge(std::string_view text) {
    if (text.starts_with("#version")) return true;
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
      wrong_merge("\"left right\" with one space", shown(Json(text)));
    const TokenizerFile::Text left = kept(text.substr(0, space));
    file_.merges.push_back({left, kept(text.substr(space + 1))});
    return true;
  }
  // of ["left", "right"]
  bool add_part(std::string_view text) {
    if (n_parts_ < 2) parts_[n_parts_] = kept(text);
    ++n_parts_;
    return true;
  }

  [[noreturn]] void wrong_id(const std::string& found) const {
    fail(Status::bad_file, name_, ": 'model': 'vocab': '", file_[entry_], "': expected a token id from 0 to ", max_id_,
         ", found ", found);
  }
  [[noreturn]] void wrong_merge(const char* expected, const std::string& found) const {
    fail(Status::bad_file, name_, ": 'model': 'merges': expected ", expected, ", found ", found);
  }

  const std::string& name_;
  TokenId max_id_;
  TokenizerFile file_;
  std::vector<Open> open_;
  std::size_t depth_ = 0;
  bool in_model_ = false;
  List list_ = List::none;
  TokenizerFile::Text entry_;
  TokenizerFile::Text parts_[2];
  std::size_t n_parts_ = 0;
};

}  // namespace

TokenizerFile parse_tokenizer_file(std::string_view json, const std::string& name, TokenId max_id) {
  FileReader reader(name, max_id);
  if (!Json::sax_parse(json, &reader)) fail(Status::bad_file, name, ": not valid JSON");
  return reader.take();
}

}  // namespace anabranch::hf::impl
