// The handles that the fuzzer made: caches, each with its step, its sequences, its decoders and their requests.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "input.hpp"
#include "memory.hpp"
#include "statuses.hpp"
#include "structs.hpp"

namespace fuzz {

struct Group;
class World;

/// The `user` of callbacks.
struct Script {
  World* world = nullptr;
  Group* group = nullptr;
  anb_decoder* decoder = nullptr;  ///< null while it is being made
  bool mischief = false;           ///< callbacks fail, lie and call back
  std::uint32_t state_size = 0;
};

struct DecoderEntry {
  anb_decoder* handle;
  std::unique_ptr<Script> script;
  std::vector<anb_request> requests;
  bool planned = false;
};

/// A cache and all that lives on it. Outlives the handles: memory is looked at when all are gone.
struct Group {
  anb_cache* cache = nullptr;  ///< null: destroyed
  anb_step* step = nullptr;    ///< open
  bool planned = false;        ///< the step
  anb_plan plan = ANB_PLAN_INIT;
  std::uint64_t plan_hash = 0;
  std::vector<anb_sequence> sequences;  ///< some of them stale
  anb_sequence given_parent = {};       ///< of the last fork with given positions
  std::vector<std::unique_ptr<DecoderEntry>> decoders;
  bool own_allocator = false;
  bool meddled = false;  ///< a step took hold of a decoder's sequences
  Ledger ledger;

  DecoderEntry* planner() const;  ///< the decoder whose plan is open
  bool plan_open() const { return planned || planner() != nullptr; }
};

/// Everything that a call that fails must leave as it was.
using Books = std::vector<std::uint64_t>;

class World {
 public:
  explicit World(Input& input);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  void run();

  Input& input() { return input_; }
  Group& group() { return *groups_[chosen_]; }
  Group* other_group();
  bool quiet() const { return quiet_; }

  /// Makes a call about `group` (null: about none) and holds it to its promises. `call` returns the status.
  template <class Call>
  anb_status make(const Function& function, Group* group, Call&& call) {
    const Books before = books(group);
    bool refused;
    anb_status status;
    {
      const Armed armed;
      status = call();
      refused = armed.refused();
    }
    judge(function, group, before, status, refused);
    return status;
  }

  // Handles to call with: mostly the right one, else NULL, one of another kind, a stale one, or no handle at all.
  anb_cache* some_cache();
  anb_step* some_step();
  DecoderEntry* some_decoder(anb_decoder*& handle);  ///< null with a bad handle
  anb_sequence some_sequence();
  anb_request some_request(const DecoderEntry* decoder);

  void remember(const void* handle) { past_.push_back(const_cast<void*>(handle)); }
  void remember_sequence(Group& group, anb_sequence sequence);
  void step_over(Group& group);
  void plan_opened(Group& group, const anb_plan& plan);
  void check_cache(Group& group);

  // Calls by kind; each makes one, or a few that belong together.
  void cache_call();
  void step_call();
  void tree_call();
  void plan_call();
  void finish_step();
  void decoder_call();
  void request_call();
  void pass_call();
  /// Makes a good cache or decoder, so that there is something to work with.
  void make_cache();
  void make_decoder();
  void destroy(Group& group, DecoderEntry& decoder);
  void forget_if_gone(Group& group);

 private:
  void judge(const Function& function, Group* group, const Books& before, anb_status status, bool refused);
  static void forgive_own_steps(const Group& group, const Books& before, Books& after);
  Books books(Group* group);
  void add_cache(Group& group, Books& books);
  void add_decoder(DecoderEntry& decoder, Books& books);
  void* bad_handle();
  bool known(const void* handle) const;
  void end();
  void check_empty(Group& group);

  Input& input_;
  std::deque<std::unique_ptr<Group>> groups_;
  std::size_t chosen_ = 0;
  std::vector<void*> past_;
  bool thorough_ = false;
  bool quiet_ = false;  ///< the fuzzer itself is looking: callbacks behave
};

/// How often each function gave each status, since the program began.
using Tally = std::map<std::string, std::array<std::int64_t, 32>>;
const Tally& tally();

/// Of everything that the plan's arrays hold, runs included.
std::uint64_t hash_plan(const anb_plan& plan);
/// Groups, mask and page tables must tell the same story.
void check_plan(World& world, Group& group, const anb_plan& plan);

std::uint64_t hash_bytes(const void* bytes, std::size_t n, std::uint64_t hash = 0xcbf29ce484222325);
template <class T>
std::uint64_t hash_array(const T* array, std::int32_t n, std::uint64_t hash) {
  return n > 0 ? hash_bytes(array, static_cast<std::size_t>(n) * sizeof(T), hash) : hash;
}

// Callbacks (callbacks.cpp).
anb_text text_callbacks(Script& script);
anb_markup_callbacks markup_callbacks(Script& script);

}  // namespace fuzz
