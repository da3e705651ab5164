// A conversation on a terminal: a prompt, commands that begin with `/`, answers that grow, Ctrl-C that stops them.
#pragma once

#include <anabranch/torch/conversation.hpp>

#include "report.hpp"

namespace chat {

/// Until the end of the input or /quit. `way` says how the answers begin to be decoded; /mode changes it. Errors of a
/// turn are told, and the conversation goes on. `quiet`: no live view.
void converse(anabranch::torch::Conversation& chat, Way way, bool quiet);

}  // namespace chat
