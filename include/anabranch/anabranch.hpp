// The core of Anabranch in one header: branch trees over one K/V cache, step plans, markups and the decoder.
// Header-only, standard library only. Adapters (eigen/, torch/, fmt.hpp) are included on their own.
#pragma once

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/error.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/types.hpp>
