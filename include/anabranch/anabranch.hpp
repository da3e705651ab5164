// The core of Anabranch in one header: branch trees over one K/V cache, step plans, markups and the decoder.
// Header-only, standard library only. Adapters (hf/, eigen/, torch/, fmt.hpp) are included on their own.
#pragma once

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/error.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>
#include <anabranch/mask/dense_mask.hpp>
#include <anabranch/plan/paged_export.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/types.hpp>
#include <anabranch/version.hpp>
