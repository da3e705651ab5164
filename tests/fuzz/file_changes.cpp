#include "file_changes.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "json_changes.hpp"

namespace fuzz {
namespace {

constexpr std::string_view kMarks = "{}[],:\"0123456789-.eE\\tfn()*+?|^$\n\xff";
constexpr std::array<std::string_view, 20> kTemplatePieces{"{{ ",
                                                           " }}",
                                                           "{% for m in messages %}",
                                                           "{% endfor %}",
                                                           "{%- if ",
                                                           " -%}",
                                                           "{% set x = ",
                                                           " | trim",
                                                           ".split('",
                                                           "[::-1]",
                                                           " ~ ",
                                                           " not in ",
                                                           "namespace(a=1)",
                                                           "loop.",
                                                           "| tojson",
                                                           "(",
                                                           ")",
                                                           "'",
                                                           "messages",
                                                           "none"};

class FileChanger {
 public:
  FileChanger(const std::vector<std::string>& others, std::mt19937_64& random) : others_(others), random_(random) {}

  void change(Format format, std::string& bytes) {
    const std::size_t place = draw(bytes.size() + 1), n = draw(std::min<std::size_t>(32, bytes.size() - place) + 1);
    switch (draw(format == Format::chat_template ? 8 : 6)) {
      case 0: bytes.erase(place, n); break;
      case 1: bytes.insert(place, 1, kMarks[draw(kMarks.size())]); break;
      case 2:
        if (place < bytes.size()) bytes[place] = static_cast<char>(random_());
        break;
      case 3: bytes.insert(place, part_of_another(64)); break;
      case 4: repeat(bytes, place, n); break;
      case 5: change_digits(bytes, place, n); break;
      case 6: bytes.insert(place, kTemplatePieces[draw(kTemplatePieces.size())]); break;
      default: bytes = bytes.substr(0, place) + part_of_another(std::string::npos);
    }
  }

 private:
  std::size_t draw(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  std::string part_of_another(std::size_t most) {
    const std::string& other = others_[draw(others_.size())];
    const std::size_t from = draw(other.size() + 1);
    return other.substr(from, most == std::string::npos ? most : draw(most));
  }
  void repeat(std::string& bytes, std::size_t place, std::size_t n) {
    const std::string part = bytes.substr(place, n);
    for (std::size_t i = draw(40); i > 0; --i) bytes.insert(place, part);
  }
  void change_digits(std::string& bytes, std::size_t place, std::size_t n) {
    for (std::size_t i = place; i < place + n; ++i)
      if (bytes[i] >= '0' && bytes[i] <= '9') bytes[i] = static_cast<char>('0' + draw(10));
  }

  const std::vector<std::string>& others_;
  std::mt19937_64& random_;
};

}  // namespace

std::string changed_file(Format format, std::string_view bytes, const std::vector<std::string>& others,
                         std::mt19937_64& random) {
  if (format == Format::json && random() % 2 == 0) return changed_json(bytes, random);
  std::string changed(bytes);
  FileChanger changer(others, random);
  for (auto n = 1 + random() % 4; n > 0; --n) changer.change(format, changed);
  return changed;
}

}  // namespace fuzz
