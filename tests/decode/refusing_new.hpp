// operator new that can be told to refuse. Who links refusing_new.cpp has it everywhere.
#pragma once

namespace refusing_new {

/// Called at every allocation; true: refuse it. Null: all work.
extern bool (*refuse)();

}  // namespace refusing_new
