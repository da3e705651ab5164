// One input: the bytes of a tokenizer.json. It is refused with a reason, or makes a tokenizer that encodes every text,
// and whose streams say what the whole says. Memory is bounded by the file's size.
#include "tokenizer_fuzz.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "../../src/hf/tokenizer_table.hpp"
#include "check.hpp"
#include "snapshot_memory.hpp"

using namespace anabranch;

namespace fuzz {
namespace {

constexpr std::string_view kTexts[] = {"", " ", "The branch  12 joins\r\n<s>!",
                                       "\xC3\xA9 e\xCC\x81 \xE2\x96\x81\xE4\xBD\xA0 \xF0\x9F\x98\x80 ab ab</s>abc",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

/// The text of a refusal, without what is quoted and its numbers.
std::string kind_of(const char* text) {
  std::string kind;
  bool quoted = false;
  for (const char* c = text; *c != '\0' && kind.size() < 120; ++c) {
    if (*c == '"') quoted = !quoted;
    if (!quoted && !std::isdigit(static_cast<unsigned char>(*c))) kind += *c;
  }
  return kind;
}

std::optional<hf::Tokenizer> parse(std::string_view json) {
  const AllocatedBytes allocated;
  std::optional<hf::Tokenizer> tokenizer;
  std::optional<Error> refusal;
  try {
    tokenizer = hf::Tokenizer::parse(json, "t.json");
  } catch (const Error& error) {
    refusal = error;
  }
  const std::size_t taken = allocated.so_far();
  FUZZ_CHECK(taken <= hf::impl::kMostMemory + hf::impl::kMemoryPerByte * json.size(),
             "%zu bytes of memory for %zu bytes", taken, json.size());
  TokenizerTally& tally = tokenizer_tally();
  if (json.size() >= 512) tally.most_memory = std::max(tally.most_memory, taken / json.size());
  if (!refusal) return tokenizer;
  const Status status = refusal->status();
  FUZZ_CHECK(status == Status::bad_file || status == Status::unsupported || status == Status::limit_reached, "%s: %s",
             status_name(status), refusal->what());
  ++tally.refused[kind_of(refusal->what())];
  return std::nullopt;
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

TokenizerTally& tokenizer_tally() {
  static TokenizerTally tally;
  return tally;
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  ++fuzz::tokenizer_tally().n_inputs;
  const auto tokenizer = fuzz::parse({reinterpret_cast<const char*>(bytes), n});
  if (!tokenizer) return 0;
  ++fuzz::tokenizer_tally().n_accepted;
  try {
    fuzz::use(*tokenizer);
  } catch (const Error& error) {  // a pattern that needs too long, replacements that double a text again and again
    FUZZ_CHECK(error.status() == Status::limit_reached, "%s: %s", status_name(error.status()), error.what());
  }
  return 0;
}
