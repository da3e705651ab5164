#include "agreement.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <anabranch/error.hpp>

#include "kv_store.hpp"
#include "weight_sources.hpp"

namespace anabranch::torch {
namespace {

constexpr std::uint8_t kEqual = 255;

/// The texts in one that ends each of them with '\0'.
std::vector<std::string> texts_of(std::string_view text) {
  std::vector<std::string> texts;
  for (std::size_t end = 0; (end = text.find('\0')) != std::string_view::npos; text.remove_prefix(end + 1))
    texts.emplace_back(text.substr(0, end));
  return texts;
}

}  // namespace

std::vector<Fact> facts_of(const ModelSources& sources, const hf::ModelConfig& config, const LoadOptions& options,
                           Weights weights) {
  return {{"version of the library", library_version()},
          {"model", describe_model(sources.folder)},
          {"adapter", sources.adapter ? describe_adapter(*sources.adapter) : "none"},
          {"type of weights", weights_name(weights)},
          {"type of K and V", std::to_string(static_cast<int>(kv_for(options, weights)))},
          {"number of positions", std::to_string(config.max_positions)},
          {"form of int8 rows", kernel_form()}};
}

void require_agreement(Collective& ranks, const std::vector<Fact>& facts) {
  std::string mine;
  for (const Fact& fact : facts) mine += fact.value + '\0';
  std::vector<std::byte> bytes(mine.size());
  std::memcpy(bytes.data(), mine.data(), mine.size());
  ranks.broadcast(bytes);
  const std::vector<std::string> first = texts_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::uint8_t differs = kEqual;
  for (std::size_t i = 0; i < facts.size() && differs == kEqual; ++i)
    if (i >= first.size() || first[i] != facts[i].value) differs = static_cast<std::uint8_t>(i);
  std::vector<std::uint8_t> all(static_cast<std::size_t>(ranks.size()));
  const std::vector<std::size_t> one(all.size(), 1);
  ranks.all_gather(std::as_bytes(std::span(&differs, 1)), std::as_writable_bytes(std::span(all)), one);
  const auto bad = std::find_if(all.begin(), all.end(), [](std::uint8_t index) { return index != kEqual; });
  if (bad == all.end()) return;
  fail(Status::bad_argument, "rank ", bad - all.begin(), " has another ", facts[*bad].name,
       " than rank 0; all ranks must be started with the same model, adapter and options");
}

Weights share_choice(Collective& ranks, Weights chosen) {
  std::vector<std::byte> byte{static_cast<std::byte>(chosen)};
  ranks.broadcast(byte);
  return static_cast<Weights>(byte.front());
}

}  // namespace anabranch::torch
