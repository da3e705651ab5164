// One line of generate_tokenizers.py, compared with what this library makes of the same tokenizer and texts.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "../../src/hf/utf8.hpp"

namespace test {

struct Tally {
  int n_tokenizers = 0, n_texts = 0, n_lists = 0;
};

/// Bytes as Python shows them, where a character may be cut.
inline std::string as_text(const std::string& bytes) {
  std::string text;
  anabranch::hf::impl::append_as_text(bytes, text);
  return text;
}

/// All tokens given to a stream, 1, 2, 3, 1, ... at a time.
inline std::string streamed(const anabranch::hf::Tokenizer& tokenizer, const std::vector<anabranch::TokenId>& tokens,
                            anabranch::hf::SpecialText special) {
  std::string out;
  anabranch::hf::DecodeStream stream = tokenizer.stream(special);
  for (std::size_t at = 0, n = 0; at < tokens.size(); at += n) {
    n = std::min(1 + at % 3, tokens.size() - at);
    stream.push(std::span(tokens).subspan(at, n), out);
  }
  stream.finish(out);
  return out;
}

/// Empty if there is none.
inline std::string first_difference(const nlohmann::json& row, Tally& tally) {
  using namespace anabranch::hf;
  using Tokens = std::vector<anabranch::TokenId>;
  const std::string name = "seed " + row["seed"].get<std::string>();
  const auto differs = [&](const char* what, const nlohmann::json& of, const nlohmann::json& found) {
    return name + ": " + what + " of " + of.dump(-1, ' ', true) + "\n  found " + found.dump(-1, ' ', true);
  };
  try {
    const Tokenizer tokenizer = Tokenizer::parse(row["json"].dump(), name);
    ++tally.n_tokenizers;
    for (const auto& item : row["texts"]) {
      const std::string text = item["text"];
      ++tally.n_texts;
      if (const Tokens ids = tokenizer.encode(text); ids != item["ids"].get<Tokens>()) return differs("ids", item, ids);
      if (const Tokens ids = tokenizer.encode(text, Special::plain); ids != item["plain"].get<Tokens>())
        return differs("plain ids", item, ids);
      if (const Tokens ids = tokenizer.encode(text, {Special::parse, Surround::as_file_says});
          ids != item["around"].get<Tokens>())
        return differs("ids around", item, ids);
    }
    for (const auto& item : row["decoded"]) {
      const auto ids = item["ids"].get<Tokens>();
      ++tally.n_lists;
      for (const SpecialText special : {SpecialText::keep, SpecialText::skip}) {
        const std::string text = tokenizer.decode(ids, special);
        if (as_text(text) != item[special == SpecialText::keep ? "text" : "skipped"].get<std::string>())
          return differs(special == SpecialText::keep ? "text" : "skipped text", item, as_text(text));
        if (const std::string pieces = streamed(tokenizer, ids, special); pieces != text)
          return differs("streamed text", item, as_text(pieces));
      }
    }
  } catch (const anabranch::Error& error) {
    return name + ": " + error.what();
  }
  return "";
}

}  // namespace test
