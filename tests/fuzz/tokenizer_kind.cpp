// A tokenizer.json makes a tokenizer that encodes every text, and whose streams say what the whole says. Memory is
// bounded by the file's size.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "../../src/hf/tokenizer_table.hpp"
#include "check.hpp"
#include "file_kinds.hpp"
#include "operator_new.hpp"

namespace fuzz {
namespace {

namespace hf = anabranch::hf;
using anabranch::Status;
using anabranch::TokenId;

constexpr std::string_view kTexts[] = {"", " ", "The branch  12 joins\r\n<s>!",
                                       "\xC3\xA9 e\xCC\x81 \xE2\x96\x81\xE4\xBD\xA0 \xF0\x9F\x98\x80 ab ab</s>abc",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

hf::Tokenizer parse(std::string_view json) {
  const MemoryUse memory;
  const auto check_memory = [&] {
    FUZZ_CHECK(memory.allocated() <= hf::impl::kMostMemory + hf::impl::kMemoryPerByte * json.size(),
               "%zu bytes of memory for %zu bytes", memory.allocated(), json.size());
  };
  try {
    hf::Tokenizer tokenizer = hf::Tokenizer::parse(json, "t.json");
    check_memory();
    return tokenizer;
  } catch (const anabranch::Error&) {
    check_memory();
    throw;
  }
}

void decode(const hf::Tokenizer& tokenizer, const std::vector<TokenId>& tokens, hf::SpecialText special) {
  const std::string whole = tokenizer.decode(tokens, special);
  std::string streamed;
  hf::DecodeStream stream = tokenizer.stream(special);
  for (const TokenId token : tokens) stream.push({&token, 1}, streamed);
  stream.finish(streamed);
  FUZZ_CHECK(streamed == whole, "a stream of %zu tokens says another text", tokens.size());
}

void use(const hf::Tokenizer& tokenizer) {
  std::vector<TokenId> all;
  for (TokenId id = 0; id < std::min(tokenizer.n_tokens(), 300); ++id) all.push_back(id);
  for (const std::string_view text : kTexts)
    for (const hf::Special special : {hf::Special::parse, hf::Special::plain}) {
      const std::vector<TokenId> tokens = tokenizer.encode(text, {special, hf::Surround::as_file_says});
      for (const TokenId id : tokens)
        FUZZ_CHECK(id >= 0 && id < tokenizer.n_tokens(), "token %d of %d", id, tokenizer.n_tokens());
      decode(tokenizer, tokens, hf::SpecialText::keep);
      decode(tokenizer, tokens, hf::SpecialText::skip);
    }
  decode(tokenizer, all, hf::SpecialText::keep);
}

}  // namespace

void read_tokenizer(std::string_view bytes) {
  const hf::Tokenizer tokenizer = parse(bytes);
  try {
    use(tokenizer);
  } catch (const anabranch::Error& error) {  // a pattern that needs too long, replacements that double a text
    FUZZ_CHECK(error.status() == Status::limit_reached, "%s: %s", status_name(error.status()), error.what());
  }
}

}  // namespace fuzz
