#include <anabranch/hf/markup_settings.hpp>

#include <array>
#include <utility>

#include <anabranch/hf/chat_template.hpp>

#include "atomic_file.hpp"
#include "json_file.hpp"

namespace anabranch::hf {
namespace {

constexpr std::array<MarkupKind, 3> kKinds{MarkupKind::serial, MarkupKind::skeleton, MarkupKind::aspd};

MarkupKind markup_of(const impl::JsonObject& object) {
  const std::string name = object.text("markup");
  for (const MarkupKind kind : kKinds)
    if (name == markup_name(kind)) return kind;
  object.wrong("markup", "\"serial\", \"skeleton\" or \"aspd\"", object.require("markup", "text"));
}

Positions positions_of(const impl::JsonObject& object) {
  const impl::Json* value = object.find("positions");
  if (value == nullptr || *value == "sequential") return Positions::sequential;
  if (*value == "longest") return Positions::longest;
  if (value->is_object()) return Positions::reserved(object.object("positions").integer("reserved", 1));
  object.wrong("positions", "\"sequential\", \"longest\" or {\"reserved\": count}", *value);
}

impl::Json json_of(const Positions& positions) {
  switch (positions.kind) {
    case Positions::Kind::sequential: return "sequential";
    case Positions::Kind::longest: return "longest";
    case Positions::Kind::reserved: return {{"reserved", positions.extent}};
    case Positions::Kind::given: break;
  }
  fail(Status::bad_argument, "markup settings: positions that the caller gives are not a property of a checkpoint");
}

}  // namespace

const char* markup_name(MarkupKind kind) noexcept {
  switch (kind) {
    case MarkupKind::serial: return "serial";
    case MarkupKind::skeleton: return "skeleton";
    case MarkupKind::aspd: return "aspd";
  }
  return "unknown";
}

MarkupSettings MarkupSettings::load(const std::filesystem::path& folder) {
  MarkupSettings settings;
  const std::filesystem::path file = folder / "anabranch.json";
  if (!std::filesystem::exists(file)) {
    const ChatFamily family = ChatTemplate::load(folder).family;
    settings.markup = family == ChatFamily::plain ? MarkupKind::serial : MarkupKind::skeleton;
    return settings;
  }
  const impl::Json json = impl::parse_json(impl::read_file(file), file.string());
  const impl::JsonObject object(json, file.string());
  settings.markup = markup_of(object);
  settings.positions = positions_of(object);
  settings.title_separator = object.optional_text("title_separator").value_or(settings.title_separator);
  if (const auto tags = object.optional_object("tags")) {
    const std::pair<const char*, std::string*> keys[] = {
        {"branch", &settings.branch}, {"branch_end", &settings.branch_end},
        {"title", &settings.title},   {"title_end", &settings.title_end},
        {"para", &settings.para},     {"para_end", &settings.para_end}};
    for (const auto& [key, text] : keys) *text = tags->optional_text(key).value_or(*text);
  }
  return settings;
}

void MarkupSettings::save(const std::filesystem::path& folder) const {
  const impl::Json json = {{"markup", markup_name(markup)},
                           {"positions", json_of(positions)},
                           {"title_separator", title_separator},
                           {"tags",
                            {{"branch", branch},
                             {"branch_end", branch_end},
                             {"title", title},
                             {"title_end", title_end},
                             {"para", para},
                             {"para_end", para_end}}}};
  impl::write_file(folder / "anabranch.json", json.dump(2) + "\n");
}

markup::AspdTags MarkupSettings::tags(const Tokenizer& tokenizer) const {
  const auto id = [&](const std::string& text) {
    const auto found = tokenizer.find_added(text);
    if (!found)
      fail(Status::bad_markup, "the tokenizer has no token ", text,
           ": aspd markup needs a checkpoint that was trained with its six tags");
    return *found;
  };
  return {id(branch),     id(branch_end), id(title), id(title_end), id(para), id(para_end), tokenizer(title_separator),
          tokenizer("\n")};
}

}  // namespace anabranch::hf
