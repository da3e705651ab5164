// Every allocation of a program, counted; one of them refused. Replaces `operator new`.
#pragma once

#include <cstddef>

struct Refusals {
  bool armed = false;          ///< a call into the library is being made: only then is anything counted or refused
  long n_asked = 0;            ///< allocations inside such calls
  long refuse_at = -1;         ///< this one, from 0; -1: none
  bool and_all_after = false;  ///< in the same call
  bool refused = false;        ///< since it was last set to false
  long n_blocks = 0;           ///< alive, whoever asked for them
};
extern Refusals refusals;

/// For anb_allocator: from the same source.
void* allocate(std::size_t size, std::size_t alignment, void* user);
void release(void* memory, std::size_t size, std::size_t alignment, void* user);
