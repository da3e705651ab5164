// Decoders come and go: options, markups, handles.
#include <atomic>
#include <cstring>

#include "decoder_object.hpp"
#include "structs.hpp"

namespace anabranch::capi {
namespace {

std::uint64_t next_number() noexcept {
  static std::atomic<std::uint64_t> n_decoders{0};
  return (n_decoders.fetch_add(1, std::memory_order_relaxed) + 1) & 0xffffff;
}

AnyMarkup::Choice aspd(const anb_markup& m, const CallerText& text, const std::vector<TokenId>& end_of_text) {
  need_array(m.title_separator, m.n_title_separator, "title_separator");
  markup::AspdTags tags{m.branch, m.branch_end, m.title, m.title_end, m.para, m.para_end, {}, {}};
  tags.title_separator.assign(m.title_separator, m.title_separator + m.n_title_separator);
  if (text.reads_text()) tags.branch_separator = text(std::string_view("\n"));
  if (m.unique_titles != 0 && m.unique_titles != 1)
    fail(Status::bad_markup, "unique_titles is ", m.unique_titles, "; it must be 0 or 1");
  if (m.well_formed != 0 && m.well_formed != 1)
    fail(Status::bad_markup, "well_formed is ", m.well_formed, "; it must be 0 or 1");
  if (m.max_titles < 0) fail(Status::bad_markup, "max_titles is ", m.max_titles, "; it must be at least 0");
  if (m.max_title_tokens < 0)
    fail(Status::bad_markup, "max_title_tokens is ", m.max_title_tokens, "; it must be at least 0");
  markup::AspdOptions options;
  options.unique_titles = m.unique_titles == 1;
  if (m.max_titles > 0) options.max_titles = m.max_titles;
  options.well_formed = m.well_formed == 1;
  if (m.max_title_tokens != 0) options.max_title_tokens = m.max_title_tokens;
  options.end_of_text = end_of_text;
  if (text.writes_text()) options.text = text;
  return markup::Aspd(std::move(tags), std::move(options));
}

AnyMarkup::Choice skeleton(const anb_markup& m, const CallerText& text, const std::vector<TokenId>& end_of_text) {
  if (!text.writes_text() || !text.reads_text())
    fail(Status::bad_markup, "markup skeleton needs both callbacks of anb_text");
  if (m.go_on != 0 && m.go_on != 1) fail(Status::bad_markup, "go_on is ", m.go_on, "; it must be 0 or 1");
  markup::SkeletonOptions options;
  const auto take = [](std::string& option, const char* given) {
    if (given != nullptr) option = given;
  };
  take(options.opening, m.opening);
  take(options.outline_end, m.outline_end);
  take(options.separator, m.separator);
  take(options.after_text, m.after_text);
  if (m.max_points != 0) options.max_points = m.max_points;
  if (m.max_title_tokens != 0) options.max_title_tokens = m.max_title_tokens;
  options.after = m.go_on == 1 ? markup::AfterPoints::go_on : markup::AfterPoints::finish;
  options.n_vocabulary = m.n_vocabulary;
  options.end_of_text = end_of_text;
  return AnyMarkup::Skeleton(text, text, std::move(options));
}

AnyMarkup::Choice markup_of(const anb_markup& m, const CallerText& text, const std::vector<TokenId>& end_of_text) {
  if (m.name == nullptr) {
    if (m.callbacks == nullptr) fail(Status::bad_markup, "markup has neither a name nor callbacks");
    return CallbackMarkup(
        read_struct(m.callbacks, anb_markup_callbacks ANB_MARKUP_CALLBACKS_INIT, "anb_markup_callbacks"));
  }
  if (std::strcmp(m.name, "serial") == 0) return markup::Serial{};
  if (std::strcmp(m.name, "aspd") == 0) return aspd(m, text, end_of_text);
  if (std::strcmp(m.name, "skeleton") == 0) return skeleton(m, text, end_of_text);
  fail(Status::bad_markup, "no markup is called '", std::string(m.name, strnlen(m.name, 64)),
       "'; there are serial, aspd and skeleton, and callbacks");
}

}  // namespace

DecoderObject::DecoderObject(CacheObject& on, AnyMarkup markup, const CallerText& text, DecoderOptions options)
    : cache(on),
      writes_text(text.writes_text()),
      core(on.cache, std::move(markup), text, std::move(options)),
      number_(next_number()) {
  cache.keep();
}

/// The decoder's own end, which drops its sequences, comes before the cache may go.
DecoderObject::~DecoderObject() { end_plan(); }

void DecoderObject::end_plan() noexcept {
  if (planned.has_value()) cache.plan = nullptr;
  planned.reset();
}

RequestId DecoderObject::to_cpp(anb_request request) const {
  if (request >> kIdBits != number_) fail(Status::stale_request, "request ", request, " is none of this decoder's");
  return RequestId{request & ((std::uint64_t{1} << kIdBits) - 1)};
}

DecoderObject* make_decoder(CacheObject& cache, const anb_decoder_options& o) {
  need_array(o.end_of_text, o.n_end_of_text, "end_of_text");
  DecoderOptions options;
  options.max_branches = o.max_branches;
  options.max_tokens = o.max_tokens;
  options.max_branch_tokens = o.max_branch_tokens;
  options.max_depth = o.max_depth;
  options.max_rows = o.max_rows;
  options.positions = capi::to_cpp(o.positions);
  options.draft = o.draft != 0;
  options.preemptible = o.preemptible != 0;
  options.end_of_text.assign(o.end_of_text, o.end_of_text + o.n_end_of_text);
  for (const TokenId token : options.end_of_text)
    if (token < 0) fail(Status::bad_request, "end_of_text holds token ", token);
  const CallerText text(read_struct(o.text, anb_text ANB_TEXT_INIT, "anb_text"));
  const auto m = read_struct(o.markup, anb_markup ANB_MARKUP_INIT, "anb_markup");
  AnyMarkup markup(markup_of(m, text, options.end_of_text));
  return new DecoderObject(cache, std::move(markup), text, std::move(options));
}

}  // namespace anabranch::capi

using namespace anabranch;
using namespace anabranch::capi;

anb_status anb_decoder_create(anb_cache* cache, const anb_decoder_options* options, anb_decoder** decoder) {
  return with_cache(cache, [&](CacheObject& object) {
    need(decoder, "decoder");
    const auto o = read_struct(options, anb_decoder_options ANB_DECODER_OPTIONS_INIT, "anb_decoder_options");
    DecoderObject* made = make_decoder(object, o);
    void* handle = make_handle(HandleKind::decoder, made);
    if (handle == nullptr) {
      delete made;
      object.let_go();
      fail_no_handle();
    }
    *decoder = static_cast<anb_decoder*>(handle);
    return Status::ok;
  });
}

void anb_decoder_destroy(anb_decoder* decoder) {
  auto* object = static_cast<DecoderObject*>(find_object(HandleKind::decoder, decoder));
  if (object == nullptr || object->cache.condition.busy) return;
  remove_handle(HandleKind::decoder, decoder);
  if (object->scheduler) remove_handle(HandleKind::scheduler, object->scheduler_handle);
  CacheObject& cache = object->cache;
  delete object;
  cache.let_go();
}
