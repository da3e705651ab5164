#include "conversations.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

#include <anabranch/decode/random.hpp>

#include "metrics.hpp"

namespace serve {
namespace {

namespace ab = anabranch;
using ab::hf::Message;

/// Of each beginning: [k] is that of the first k + 1 messages.
std::vector<std::uint64_t> hashes_of(std::span<const Message> messages) {
  std::vector<std::uint64_t> hashes;
  std::uint64_t hash = 0;
  for (const Message& message : messages) {
    for (const std::string_view text : {std::string_view(message.role), std::string_view(message.content)})
      hash = ab::mix(hash ^ std::hash<std::string_view>()(text));
    hashes.push_back(hash);
  }
  return hashes;
}

bool begins_with(std::span<const Message> messages, const std::vector<Message>& beginning) {
  return beginning.size() <= messages.size() &&
         std::equal(beginning.begin(), beginning.end(), messages.begin(),
                    [](const Message& a, const Message& b) { return a.role == b.role && a.content == b.content; });
}

std::int64_t bytes_of(const Conversation& conversation) {
  std::size_t n = sizeof(Conversation);
  for (const Message& message : conversation.messages)
    n += sizeof(Message) + message.role.size() + message.content.size();
  n += conversation.history.tokens().size_bytes() + conversation.history.items().size_bytes();
  return static_cast<std::int64_t>(n);
}

}  // namespace

void Conversations::erase(std::list<Entry>::iterator entry) {
  n_bytes_ -= entry->n_bytes;
  by_hash_.erase(entry->hash);
  entries_.erase(entry);
}

void Conversations::add(Conversation conversation) {
  Entry entry;
  entry.n_bytes = bytes_of(conversation);
  if (entry.n_bytes > max_bytes_) return;
  entry.hash = hashes_of(conversation.messages).back();
  entry.conversation = std::make_shared<const Conversation>(std::move(conversation));
  const Lock lock(mutex_);
  if (const auto same = by_hash_.find(entry.hash); same != by_hash_.end()) erase(same->second);
  entries_.push_front(entry);
  by_hash_[entry.hash] = entries_.begin();
  n_bytes_ += entry.n_bytes;
  while (n_bytes_ > max_bytes_) erase(std::prev(entries_.end()));
}

std::shared_ptr<const Conversation> Conversations::find(std::span<const Message> messages) {
  const std::vector<std::uint64_t> hashes = hashes_of(messages);
  const Lock lock(mutex_);
  for (std::size_t n = messages.size(); n-- > 1;) {
    const auto found = by_hash_.find(hashes[n - 1]);
    if (found == by_hash_.end() || !begins_with(messages.first(n), found->second->conversation->messages)) continue;
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front().conversation;
  }
  return nullptr;
}

std::string Conversations::metrics() const {
  const Lock lock(mutex_);
  std::string out;
  write_metric(out, "anabranch_conversations", "gauge", "answers that a next turn can go on from",
               static_cast<double>(entries_.size()));
  write_metric(out, "anabranch_conversation_bytes", "gauge", "bytes of these", static_cast<double>(n_bytes_));
  return out;
}

}  // namespace serve
