#include "json_changes.hpp"

#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace fuzz {
namespace {

using Json = nlohmann::json;
using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t n) { return static_cast<std::size_t>(random() % n); }

void collect(Json& value, std::vector<Json*>& out) {
  out.push_back(&value);
  if (value.is_structured())
    for (Json& item : value) collect(item, out);
}

Json some_value(Random& random, const std::vector<Json*>& values) {
  switch (below(random, 9)) {
    case 0: return nullptr;
    case 1: return below(random, 2) == 0;
    case 2: return below(random, 300);
    case 3: return std::numeric_limits<std::int64_t>::max() - static_cast<std::int64_t>(below(random, 3));
    case 4: return -1.5;
    case 5: return std::string(below(random, 5), "a \t\n"[below(random, 4)]);
    case 6: return Json::array();
    case 7: return Json::object();
    default: return *values[below(random, values.size())];
  }
}

void change_text(Random& random, std::string& text) {
  const std::string_view signs[] = {"a", " ", "\xE2\x96\x81", "\xC3\xA9", "\\", "+",
                                    "[", ")", "<0x41>",       "\\p{L}",   "{9}"};
  const std::string_view sign = signs[below(random, std::size(signs))];
  const std::size_t at = text.empty() ? 0 : below(random, text.size());
  if (below(random, 3) == 0 && !text.empty() && static_cast<unsigned char>(text[at]) < 0x80)
    text.erase(at, 1);
  else if (at == 0 || static_cast<unsigned char>(text[at]) < 0x80)
    text.insert(at, sign);
}

// A value anywhere inside: long lists are no more likely than short ones.
Json& some_place(Random& random, Json& root) {
  Json* at = &root;
  while (at->is_structured() && !at->empty() && below(random, 6) > 0)
    at = &*std::next(at->begin(), static_cast<std::ptrdiff_t>(below(random, at->size())));
  return *at;
}

void change(Random& random, Json& root) {
  std::vector<Json*> values;
  collect(root, values);
  Json& value = some_place(random, root);
  const std::size_t kind = below(random, 5);
  if (value.is_string() && kind < 3) return change_text(random, value.get_ref<std::string&>());
  if (value.is_number_integer() && kind < 3) {
    value = value.get<std::int64_t>() / 2 + static_cast<std::int64_t>(below(random, 5)) - 2;
  } else if (value.is_structured() && !value.empty() && kind < 2) {
    value.erase(std::next(value.begin(), static_cast<std::ptrdiff_t>(below(random, value.size()))));
  } else if (value.is_array() && kind < 4) {
    value.push_back(some_value(random, values));
  } else if (value.is_object() && kind < 4) {
    value["x" + std::to_string(below(random, 3))] = some_value(random, values);
  } else {
    Json other = some_value(random, values);
    value = std::move(other);
  }
}

}  // namespace

std::string changed_json(std::string_view text, std::mt19937_64& random) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    std::string bytes(text);
    if (!bytes.empty()) bytes[below(random, bytes.size())] = static_cast<char>(below(random, 256));
    return bytes;
  }
  for (std::size_t n = 1 + below(random, 4); n > 0; --n) change(random, json);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fuzz
