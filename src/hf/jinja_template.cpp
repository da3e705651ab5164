#include "jinja_template.hpp"

#include <anabranch/error.hpp>

#ifdef ANABRANCH_JINJA

#include <ctime>
#include <exception>
#include <new>

#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>

namespace anabranch::hf::impl {
namespace {

namespace engine = jinja;

/// Templates of models have up to 20 KiB.
constexpr std::size_t kMaxTemplate = 1 << 20;

engine::value text_value(const std::string& text) { return engine::mk_val<engine::value_string>(text); }

/// The engine follows these marks through everything that a template does with a text.
engine::value marked(const std::string& text) {
  auto value = engine::mk_val<engine::value_string>(text);
  value->mark_input();
  return value;
}

engine::value messages_value(std::span<const Message> messages) {
  auto list = engine::mk_val<engine::value_array>();
  for (const Message& message : messages) {
    auto object = engine::mk_val<engine::value_object>();
    object->insert("role", text_value(message.role));
    object->insert("content", marked(message.content));
    list->push_back(object);
  }
  return list;
}

/// The same names with the same values as transformers gives them.
void set_values(engine::context& context, std::span<const Message> messages, const JinjaTemplate::Values& values) {
  context.set_val("messages", messages_value(messages));
  context.set_val("tools", engine::mk_val<engine::value_none>());
  context.set_val("documents", engine::mk_val<engine::value_none>());
  const bool add = values.options.answer_start == AnswerStart::add;
  context.set_val("add_generation_prompt", engine::mk_val<engine::value_bool>(add));
  if (values.options.thinking != Thinking::as_trained)  // the two names that templates have for it
    for (const char* name : {"enable_thinking", "thinking"})
      context.set_val(name, engine::mk_val<engine::value_bool>(values.options.thinking == Thinking::on));
  for (const auto& [name, text] : values.tokens) context.set_val(name, text_value(text));
  if (values.options.now) context.current_time = static_cast<std::time_t>(*values.options.now);
}

Rendering rendering_of(const engine::value_string& parts) {
  Rendering result;
  for (const engine::string_part& part : parts->val_str.parts) {
    const std::size_t begin = result.text.size();
    result.text += part.val;
    if (part.is_input && !part.val.empty()) result.add_content(begin, result.text.size());
  }
  return result;
}

class EngineTemplate final : public JinjaTemplate {
 public:
  EngineTemplate(engine::program program, std::string source, std::string name)
      : program_(std::move(program)), source_(std::move(source)), name_(std::move(name)) {}

  Rendering render(std::span<const Message> messages, const Values& values) const override {
    try {
      engine::context context(source_);
      set_values(context, messages, values);
      const engine::value_array results = engine::runtime(context).execute(program_);
      return rendering_of(engine::runtime::gather_string_parts(results));
    } catch (const engine::template_refusal& refusal) {
      fail(Status::bad_argument, name_, ": the template refuses these messages: ", refusal.what());
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      fail(Status::unsupported, name_, ": the template cannot be rendered: ", error.what());
    }
  }

 private:
  engine::program program_;
  std::string source_, name_;
};

}  // namespace

bool JinjaTemplate::available() noexcept { return true; }

std::shared_ptr<const JinjaTemplate> JinjaTemplate::parse(std::string_view text, const std::string& name) {
  if (text.size() > kMaxTemplate)
    fail(Status::unsupported, name, ": expected a template of at most ", kMaxTemplate, " bytes, found ", text.size());
  try {
    engine::lexer lexer;
    const engine::lexer_result tokens = lexer.tokenize(std::string(text));
    return std::make_shared<EngineTemplate>(engine::parse_from_tokens(tokens), tokens.source, name);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail(Status::unsupported, name, ": the template cannot be read: ", error.what());
  }
}

}  // namespace anabranch::hf::impl

#else

namespace anabranch::hf::impl {

bool JinjaTemplate::available() noexcept { return false; }

std::shared_ptr<const JinjaTemplate> JinjaTemplate::parse(std::string_view, const std::string& name) {
  fail(Status::unsupported, name,
       ": this template is not one of those that are known as a whole (SmolLM2, Qwen2, Qwen2.5, Qwen3, Llama 3.1 to "
       "3.3), "
       "and the library was built without the Jinja engine that runs any other: cmake/setup/jinja.sh makes it, as "
       "examples/run and tests/run do; then configure with -DANABRANCH_JINJA_DIR=build/jinja");
}

}  // namespace anabranch::hf::impl

#endif
