// Decoders and their requests come and go.
#include <algorithm>
#include <array>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

constexpr std::size_t kMostRequests = 12;  // that the fuzzer keeps in mind, per decoder
constexpr std::array<anb_token, 2> kEndOfText = {15, 4};
constexpr std::array<anb_token, 2> kSeparator = {7, 1};
constexpr std::array<anb_logit_bias, 2> kBiases = {{{3, 1.5f}, {5, -2.0f}}};
constexpr std::array<const char*, 4> kStops = {"1.", "\n", "ab", "\xc3\xa4"};

/// A markup, and whether its callbacks need text.
anb_markup some_markup(Input& input, const anb_markup_callbacks* callbacks) {
  anb_markup m = ANB_MARKUP_INIT;
  switch (input.below(5)) {
    case 0: break;
    case 1: m.name = nullptr, m.callbacks = callbacks; break;
    case 2:
      m.name = "aspd";
      m.branch = 8, m.branch_end = 9, m.title = 10, m.title_end = 11, m.para = 12, m.para_end = 13;
      m.n_title_separator = input.below(3);
      m.title_separator = kSeparator.data();
      if (input.one_in(32)) m.para_end = input.number(7, 3);
      if (m.n_title_separator == 2) m.unique_titles = 1, m.max_titles = 3;  // no byte more: the corpus keeps its sense
      break;
    case 3:
      m.name = "skeleton";
      m.go_on = input.number(0, 2);
      m.n_vocabulary = input.one_in(2) ? 16 : 0;
      m.max_points = input.number(0, 5);
      m.max_title_tokens = input.number(0, 5);
      m.opening = input.one_in(4) ? "a" : nullptr;
      m.separator = input.one_in(8) ? "" : nullptr;
      m.after_text = input.one_in(8) ? " " : nullptr;
      break;
    default: m.name = input.one_in(16) ? "no such markup" : nullptr, m.callbacks = callbacks;
  }
  return m;
}

anb_decoder_options some_decoder_options(Input& input) {
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  if (input.one_in(3)) o.max_branches = input.number(1, 6);
  if (input.one_in(3)) o.max_tokens = input.number(1, 40);
  if (input.one_in(3)) o.max_branch_tokens = input.number(1, 12);
  if (input.one_in(3)) o.max_depth = input.number(0, 4);
  if (input.one_in(3)) o.max_rows = input.number(1, 12);
  o.positions = input.one_in(3) ? input.number(-1, 30) : 0;
  o.n_end_of_text = input.below(3);
  o.draft = o.max_rows % 2;
  o.end_of_text = kEndOfText.data();
  return o;
}

/// Callbacks that are not needed, or are.
void leave_some_out(Input& input, anb_markup_callbacks& c) {
  if (input.one_in(3)) c.open = nullptr;
  if (input.one_in(3)) c.end_of_text = nullptr;
  if (input.one_in(3)) c.constrain = nullptr;
  if (input.one_in(64)) c.joined = nullptr;
}

}  // namespace

void World::make_decoder() {
  Group& g = group();
  anb_cache* cache = some_cache();
  Group* about = cache == g.cache && cache != nullptr ? &g : nullptr;
  auto made = std::make_unique<DecoderEntry>();
  made->script = std::make_unique<Script>();
  Script& script = *made->script;
  script.world = this;
  script.group = &g;
  script.mischief = input_.one_in(3);
  static constexpr std::array<std::uint32_t, 8> kSizes = {8, 1, 0, 4096, 24, 8, 3, 4097};
  script.state_size = kSizes[static_cast<std::size_t>(input_.below(8))];
  anb_markup_callbacks callbacks = markup_callbacks(script);
  leave_some_out(input_, callbacks);
  const InStruct<anb_markup_callbacks> in_callbacks(input_, callbacks);
  const InStruct<anb_markup> in_markup(input_, some_markup(input_, in_callbacks.pointer()));
  anb_text text = text_callbacks(script);
  if (input_.one_in(12)) text.text_to_tokens = nullptr;
  if (input_.one_in(12)) text.detokenize = nullptr;
  const InStruct<anb_text> in_text(input_, text);
  anb_decoder_options o = some_decoder_options(input_);
  o.markup = in_markup.pointer();
  o.text = input_.one_in(8) ? nullptr : in_text.pointer();
  const InStruct<anb_decoder_options> in(input_, o);
  const OutArray<anb_decoder*> decoder(1);
  const anb_status status =
      make(function::kDecoderCreate, about, [&] { return anb_decoder_create(cache, in.pointer(), decoder.pointer()); });
  decoder.check(status == ANB_OK ? 1 : 0);
  FUZZ_CHECK(status != ANB_CALLBACK_FAILED || script.mischief, "%s", anb_last_error());
  if (about == nullptr) FUZZ_CHECK(status == ANB_BAD_HANDLE, "a bad handle gave %s", anb_status_name(status));
  if (status != ANB_OK) return;
  FUZZ_CHECK(!in.broken() && !in_markup.broken() && (o.text == nullptr || !in_text.broken()), "a broken struct");
  FUZZ_CHECK(!known(decoder[0]), "a handle came twice");
  made->handle = decoder[0];
  script.decoder = decoder[0];
  g.decoders.push_back(std::move(made));
}

void World::destroy(Group& group, DecoderEntry& decoder) {
  {
    const Armed armed;
    anb_decoder_destroy(decoder.handle);
  }
  remember(decoder.handle);
  FUZZ_CHECK(anb_decoder_abort(decoder.handle) == ANB_BAD_HANDLE, "a destroyed decoder still works");
  std::erase_if(group.decoders, [&](const auto& d) { return d.get() == &decoder; });
  check_cache(group);
}

void World::decoder_call() {
  Group& g = group();
  if (g.decoders.size() < 3 && !input_.one_in(3)) return make_decoder();
  anb_decoder* handle = nullptr;
  DecoderEntry* decoder = some_decoder(handle);
  if (decoder == nullptr) return anb_decoder_destroy(handle);
  destroy(g, *decoder);
  forget_if_gone(g);
}

namespace {

struct SomeRequest {
  anb_request_options options = ANB_REQUEST_OPTIONS_INIT;
  std::array<anb_token, 24> prompt{};
  std::int32_t n = 0;
  std::array<const char*, 2> stop{};

  SomeRequest(World& world, const DecoderEntry* decoder) {
    Input& input = world.input();
    n = input.one_in(24) ? 0 : 1 + input.below(input.one_in(4) ? 24 : 5);
    for (std::int32_t i = 0; i < n; ++i) prompt[static_cast<std::size_t>(i)] = input.below(16);
    if (input.one_in(64)) prompt[0] = input.odd_number();
    if (input.one_in(48)) n = -1;
    if (input.one_in(3)) options.temperature = input.one_in(16) ? -1.0f : 0.1f * static_cast<float>(input.below(20));
    if (input.one_in(5)) options.top_k = input.number(0, 8);
    if (input.one_in(5)) options.top_p = input.one_in(16) ? 2.0f : 0.05f * static_cast<float>(1 + input.below(20));
    if (input.one_in(5)) options.repetition_penalty = 0.25f * static_cast<float>(input.below(8));
    if (input.one_in(5)) options.n_log_probabilities = input.number(-1, 5);
    if (input.one_in(4)) options.max_tokens = input.number(1, 30);
    if (input.one_in(4)) options.max_branch_tokens = input.number(1, 10);
    options.seed = input.byte();
    if (options.seed % 5 == 4) options.no_repeat_ngram = static_cast<std::int32_t>(options.seed % 7);
    if (options.seed % 4 == 3) options.max_parallel_branches = static_cast<std::int32_t>(options.seed % 3);
    if (options.seed % 6 == 5) options.min_p = 0.25f * static_cast<float>(options.seed % 6);
    if (options.seed % 7 == 6) options.frequency_penalty = options.presence_penalty = 0.5f;
    if (options.seed % 9 == 8) options.logit_bias = kBiases.data(), options.n_logit_bias = 2;
    if (options.seed % 11 == 10) options.stop_tokens = kEndOfText.data(), options.n_stop_tokens = 2;
    if (input.one_in(4)) options.after = world.some_request(decoder);
    if (!input.one_in(4)) return;
    options.n_stop = 1 + input.below(2);
    for (const char*& text : stop) text = kStops[static_cast<std::size_t>(input.below(4))];
    if (input.one_in(16)) stop[0] = input.one_in(2) ? nullptr : "";
    options.stop = stop.data();
  }
};

struct RequestCalls {
  World& world;
  Input& input;
  Group& group;
  anb_decoder* handle;
  DecoderEntry* decoder;  ///< null with a bad handle
  Group* about;

  anb_status submit() {
    const SomeRequest some(world, decoder);
    const InStruct<anb_request_options> in(input, some.options);
    const OutArray<anb_request> request(1);
    const anb_status status = world.make(function::kSubmit, about, [&] {
      return anb_decoder_submit(handle, some.prompt.data(), some.n, in.pointer(), request.pointer());
    });
    request.check(status == ANB_OK ? 1 : 0);
    FUZZ_CHECK(status != ANB_OK || !in.broken(), "a broken struct");
    if (status != ANB_OK) return status;
    decoder->requests.push_back(request[0]);
    if (decoder->requests.size() > kMostRequests) decoder->requests.erase(decoder->requests.begin());
    return status;
  }
  anb_status cancel() {
    const anb_request request = world.some_request(decoder);
    return world.make(function::kCancel, about, [&] { return anb_decoder_cancel(handle, request); });
  }
  anb_status release() {
    const anb_request request = world.some_request(decoder);
    return world.make(function::kRelease, about, [&] { return anb_decoder_release(handle, request); });
  }
  anb_status get_request() {
    const anb_request request = world.some_request(decoder);
    const OutStruct<anb_request_state> state(input);
    const anb_status status = world.make(function::kGetRequest, about,
                                         [&] { return anb_decoder_get_request(handle, request, state.pointer()); });
    state.check(status == ANB_OK);
    return status;
  }
  anb_status get_branch() {
    const anb_request request = world.some_request(decoder);
    const OutStruct<anb_branch_state> state(input);
    const std::int32_t branch = input.number(0, 4);
    const anb_status status = world.make(
        function::kGetBranch, about, [&] { return anb_decoder_get_branch(handle, request, branch, state.pointer()); });
    state.check(status == ANB_OK);
    if (status != ANB_OK || group.cache == nullptr || state.value().sequence == ANB_NO_SEQUENCE || !input.one_in(24))
      return status;
    group.meddled = true;  // from now on steps of the fuzzer's own may change the decoder's sequence
    if (std::find(group.sequences.begin(), group.sequences.end(), state.value().sequence) == group.sequences.end())
      world.remember_sequence(group, state.value().sequence);
    return status;
  }
};

}  // namespace

void World::request_call() {
  Group& g = group();
  if (g.decoders.empty() && g.cache != nullptr) return make_decoder();
  anb_decoder* handle = nullptr;
  DecoderEntry* decoder = some_decoder(handle);
  RequestCalls calls{*this, input_, g, handle, decoder, decoder != nullptr ? &g : nullptr};
  anb_status status = ANB_OK;
  switch (input_.below(8)) {
    case 0:
    case 1:
    case 2: status = calls.submit(); break;
    case 3: status = calls.cancel(); break;
    case 4: status = calls.release(); break;
    case 5: status = calls.get_request(); break;
    default: status = calls.get_branch();
  }
  if (decoder == nullptr) FUZZ_CHECK(status == ANB_BAD_HANDLE, "a bad handle gave %s", anb_status_name(status));
  check_cache(g);
}

}  // namespace fuzz
