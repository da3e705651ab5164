#include "callbacks.hpp"

#include "guard.hpp"

namespace anabranch::capi {
namespace {

using markup::Action;
using markup::Forced;
using markup::Role;

constexpr std::int32_t kMaxCount = 65536;     // more of anything from one callback is a mistake
constexpr std::int32_t kMaxLength = 1 << 24;  // of text: no room is made for a number that is nonsense
constexpr std::uint32_t kMaxStateSize = 4096;

[[noreturn]] void fail_callback(const char* name, const std::string& what) {
  fail(Status::callback_failed, "callback ", name, " ", what);
}

/// Calls out. What a callback throws does not get further.
template <class Call>
std::int32_t call_out(const char* name, Call&& call) {
  try {
    return call();
  } catch (...) {
    fail_callback(name, "threw an exception");
  }
}

template <class Call>
void need_success(const char* name, Call&& call) {
  if (const std::int32_t result = call_out(name, call); result != 0)
    fail_callback(name, "failed with " + std::to_string(result));
}

/// A callback that fills a buffer, given as fill(data, capacity) -> how many there are.
template <class Buffer, class Fill>
void fill_buffer(const char* name, Buffer& out, std::size_t first_capacity, Fill&& fill) {
  const std::size_t before = out.size();
  std::size_t capacity = first_capacity;
  for (int turn = 0; turn < 2; ++turn) {
    out.resize(before + capacity);
    const std::int32_t n =
        call_out(name, [&] { return fill(out.data() + before, static_cast<std::int32_t>(capacity)); });
    if (n < 0) fail_callback(name, "failed with " + std::to_string(n));
    if (n > kMaxLength)
      fail_callback(name, "gave " + std::to_string(n) + "; at most " + std::to_string(kMaxLength) + " are fine");
    if (static_cast<std::size_t>(n) <= capacity) return out.resize(before + static_cast<std::size_t>(n));
    if (turn == 1) fail_callback(name, "wants room for " + std::to_string(n) + " after it asked for less");
    capacity = static_cast<std::size_t>(n);
  }
}

void check_array(const char* name, const char* what, const void* array, std::int32_t n) {
  if (n < 0 || n > kMaxCount)
    fail_callback(name, "gave " + std::to_string(n) + " " + what + "; 0 to " + std::to_string(kMaxCount) + " are fine");
  if (n > 0 && array == nullptr) fail_callback(name, "gave NULL for " + std::to_string(n) + " " + what);
}

TokenId checked_token(const char* name, anb_token token) {
  if (token < 0) fail_callback(name, "gave token " + std::to_string(token) + "; ids start at 0");
  return token;
}

Role checked_role(const char* name, std::int32_t role) {
  if (role < ANB_ROLE_TEXT || role > ANB_ROLE_TAG)
    fail_callback(name, "gave role " + std::to_string(role) + "; it must be 0 (text), 1 (title) or 2 (tag)");
  return static_cast<Role>(role);
}

Forced forced_of(const char* name, const char* what, const anb_forced_token* tokens, std::int32_t n) {
  check_array(name, what, tokens, n);
  Forced forced;
  for (std::int32_t i = 0; i < n; ++i)
    forced.push_back({checked_token(name, tokens[i].token), checked_role(name, tokens[i].role)});
  return forced;
}

std::span<const TokenId> tokens_of(const char* name, const char* what, const anb_token* tokens, std::int32_t n) {
  check_array(name, what, tokens, n);
  for (std::int32_t i = 0; i < n; ++i) checked_token(name, tokens[i]);
  return {tokens, tokens + n};
}

Action action_of(const char* name, const anb_action& from) {
  if (from.next < ANB_NEXT_SAMPLE || from.next > ANB_NEXT_FINISH)
    fail_callback(name, "gave next " + std::to_string(from.next) + "; it must be 0 to 3");
  if (from.forget < 0) fail_callback(name, "wants to forget " + std::to_string(from.forget) + " tokens");
  Action action;
  action.next = static_cast<Action::Next>(from.next);
  action.role = checked_role(name, from.role);
  action.forget = from.forget;
  action.forced = forced_of(name, "forced tokens", from.forced, from.n_forced);
  check_array(name, "seeds", from.seeds, from.n_seeds);
  for (std::int32_t i = 0; i < from.n_seeds; ++i) {
    const anb_seed& seed = from.seeds[i];
    const auto title = tokens_of(name, "title tokens", seed.title, seed.n_title);
    action.seeds.push_back(
        {forced_of(name, "prefix tokens", seed.prefix, seed.n_prefix), {title.begin(), title.end()}});
  }
  return action;
}

/// Calls a callback that fills in an action.
template <class Call>
Action ask(const char* name, Call&& call) {
  anb_action action{};
  action.struct_size = sizeof action;
  need_success(name, [&] { return call(&action); });
  return action_of(name, action);
}

}  // namespace

void CallerText::operator()(std::span<const TokenId> tokens, std::string& out) const {
  if (!writes_text() || tokens.empty()) return;
  const auto n = static_cast<std::int32_t>(tokens.size());
  fill_buffer("detokenize", out, 16 * tokens.size() + 16, [&](char* to, std::int32_t capacity) {
    return text_.detokenize(tokens.data(), n, to, capacity, text_.user);
  });
}

std::vector<TokenId> CallerText::operator()(std::string_view text) const {
  std::vector<TokenId> tokens;
  if (!reads_text()) fail_callback("text_to_tokens", "is NULL, but this markup needs it");
  fill_buffer("text_to_tokens", tokens, text.size() + 4, [&](anb_token* to, std::int32_t capacity) {
    return text_.text_to_tokens(text.data(), static_cast<std::int32_t>(text.size()), to, capacity, text_.user);
  });
  tokens_of("text_to_tokens", "tokens", tokens.data(), static_cast<std::int32_t>(tokens.size()));
  return tokens;
}

TokenId CallerText::stop_token(std::string_view text) const {
  if (text_.stop_token == nullptr) return kUnknownToken;
  const std::int32_t token = call_out(
      "stop_token", [&] { return text_.stop_token(text.data(), static_cast<std::int32_t>(text.size()), text_.user); });
  if (token < ANB_UNKNOWN_TOKEN) fail_callback("stop_token", "failed with " + std::to_string(token));
  return token;
}

CallbackMarkup::CallbackMarkup(const anb_markup_callbacks& callbacks) : callbacks_(callbacks) {
  const auto needed = [](bool there, const char* name) {
    if (!there) fail(Status::bad_markup, "markup callback ", name, " is NULL");
  };
  needed(callbacks.child != nullptr, "child");
  needed(callbacks.next != nullptr, "next");
  needed(callbacks.joined != nullptr, "joined");
  needed(callbacks.closing != nullptr, "closing");
  if (callbacks.state_size > kMaxStateSize)
    fail(Status::bad_markup, "markup state_size is ", callbacks.state_size, "; at most ", kMaxStateSize,
         " bytes are kept per sequence");
}

CallbackMarkup::State CallbackMarkup::start() const { return {std::vector<std::byte>(callbacks_.state_size)}; }

CallbackMarkup::State CallbackMarkup::child(const State& s, std::int32_t k) const {
  State made = start();
  need_success("child", [&] { return callbacks_.child(s.bytes.data(), k, made.bytes.data(), callbacks_.user); });
  return made;
}

Action CallbackMarkup::next(State& s, TokenId token) const {
  return ask("next", [&](anb_action* a) { return callbacks_.next(s.bytes.data(), token, a, callbacks_.user); });
}

Action CallbackMarkup::joined(State& s) const {
  return ask("joined", [&](anb_action* a) { return callbacks_.joined(s.bytes.data(), a, callbacks_.user); });
}

Forced CallbackMarkup::closing(const State& s) const {
  return ask("closing", [&](anb_action* a) { return callbacks_.closing(s.bytes.data(), a, callbacks_.user); }).forced;
}

Action CallbackMarkup::open(State& s) const {
  return ask("open", [&](anb_action* a) { return callbacks_.open(s.bytes.data(), a, callbacks_.user); });
}

Action CallbackMarkup::end_of_text(State& s) const {
  return ask("end_of_text", [&](anb_action* a) { return callbacks_.end_of_text(s.bytes.data(), a, callbacks_.user); });
}

markup::Constraint CallbackMarkup::constrain(const State& s) const {
  if (callbacks_.constrain == nullptr) return {};
  anb_constraint c{};
  c.struct_size = sizeof c;
  need_success("constrain", [&] { return callbacks_.constrain(s.bytes.data(), &c, callbacks_.user); });
  return {tokens_of("constrain", "allowed tokens", c.allowed, c.n_allowed),
          tokens_of("constrain", "forbidden tokens", c.forbidden, c.n_forbidden)};
}

}  // namespace anabranch::capi
