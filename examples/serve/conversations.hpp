// Conversations: the answers that were given, as they were decoded, under the messages that they ended. A chat whose
// messages begin with some of these goes on from the answer's branches, not from its text.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/hf/chat_template.hpp>

namespace serve {

/// A chat up to an answer.
struct Conversation {
  std::vector<anabranch::hf::Message> messages;  ///< the last one is the answer, as it was sent
  anabranch::hf::RenderOptions render;           ///< how those before it were rendered
  anabranch::StructuredPrompt history;           ///< the tokens of all, with the answer's blocks
};

/// For all threads of the server. The conversation used least recently goes first.
class Conversations {
 public:
  /// Keeps as many as fit into so many bytes; 0: none.
  explicit Conversations(std::int64_t max_bytes) : max_bytes_(max_bytes) {}

  /// REQUIRES: there are messages. O(bytes).
  void add(Conversation conversation);
  /// The longest one whose messages `messages` begin with, and go on behind. Null: there is none. All of each message
  /// is compared. O(bytes of the messages).
  std::shared_ptr<const Conversation> find(std::span<const anabranch::hf::Message> messages);
  /// How many there are, and their bytes, as Prometheus reads it.
  std::string metrics() const;

 private:
  using Lock = std::lock_guard<std::mutex>;
  struct Entry {
    std::shared_ptr<const Conversation> conversation;
    std::uint64_t hash = 0;  ///< of the messages
    std::int64_t n_bytes = 0;
  };
  void erase(std::list<Entry>::iterator entry);

  const std::int64_t max_bytes_;
  mutable std::mutex mutex_;  // of all that follows
  std::list<Entry> entries_;  // the one used last first
  std::unordered_map<std::uint64_t, std::list<Entry>::iterator> by_hash_;
  std::int64_t n_bytes_ = 0;
};

}  // namespace serve
