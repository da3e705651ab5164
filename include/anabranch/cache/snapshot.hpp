// Snapshots of a cache: their fields, and what checks, saves and loads them.
#pragma once

#include <anabranch/cache/impl/snapshot_bytes.hpp>
#include <anabranch/cache/impl/snapshot_check.hpp>
#include <anabranch/cache/snapshot_fields.hpp>
