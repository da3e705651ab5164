// The families of chat templates that are rendered without Jinja.
#pragma once

#include <span>

#include <anabranch/hf/chat_template.hpp>

namespace anabranch::hf::impl {

Rendering render_plain(std::span<const Message> messages);
Rendering render_chatml(const ChatTemplate& chat, std::span<const Message> messages, const RenderOptions& options);
Rendering render_llama3(const ChatTemplate& chat, std::span<const Message> messages, const RenderOptions& options);

}  // namespace anabranch::hf::impl
