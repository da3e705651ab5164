#include "snapshot_changes.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>

using namespace anabranch;

namespace fuzz {
namespace {

constexpr std::size_t kHeader = 8 + 4 + 8 + 8;  // magic, version, length, checksum

void write_number(std::vector<std::byte>& bytes, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
}

/// Goes through all fields in the order of their bytes, counts them, and changes one.
class FieldChange {
 public:
  FieldChange(Input& input, std::size_t target) : input_(input), target_(target) {}
  std::size_t n_fields() const { return n_; }

  template <std::integral T>
  void operator()(T& value) {
    const auto seen = static_cast<std::int64_t>(value);
    if (here()) value = static_cast<T>(another(seen));
    recent_[n_ % recent_.size()] = seen;
  }
  void operator()(bool& value) {
    if (here()) value = !value;
  }
  void operator()(std::byte& value) {
    if (here()) value = static_cast<std::byte>(input_.byte());
  }
  template <class T>
  void operator()(std::vector<T>& values) {
    if (here()) change_list(values);
    for (T& value : values) (*this)(value);
  }
  template <class T>
  requires std::is_class_v<T>
  void operator()(T& value) { impl::visit_fields(*this, value); }

 private:
  bool here() { return n_++ == target_; }
  /// A number near the one that was there, one that stood nearby, or one that some limit may not like.
  std::int64_t another(std::int64_t value) {
    static constexpr std::array<std::int64_t, 8> kWide = {kNever,
                                                          kNever + 1,
                                                          kNever / 2,
                                                          std::int64_t{1} << 31,
                                                          -(std::int64_t{1} << 31),
                                                          std::int64_t{1} << 62,
                                                          std::numeric_limits<std::int64_t>::max(),
                                                          std::numeric_limits<std::int64_t>::min()};
    const auto more = [&](std::int64_t n) {
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + static_cast<std::uint64_t>(n));
    };
    switch (input_.below(8)) {
      case 0: return more(1);
      case 1: return more(-1);
      case 2: return input_.below(12) - 2;
      case 3: return recent_[input_.byte() % recent_.size()];
      case 4: return kWide[input_.byte() % kWide.size()];
      case 5: return input_.below(64);
      case 6: return more(input_.below(9) - 4);
      default: return input_.odd_number();
    }
  }
  template <class T>
  void change_list(std::vector<T>& values) {
    const auto some = [&] { return static_cast<std::ptrdiff_t>(input_.byte() % values.size()); };
    switch (values.empty() ? 0 : input_.below(5)) {
      case 0: values.emplace_back(); break;
      case 1: values.push_back(T(values[static_cast<std::size_t>(some())])); break;
      case 2: values.erase(values.begin() + some()); break;
      case 3: std::iter_swap(values.begin() + some(), values.begin() + some()); break;
      default: values.clear(); break;
    }
  }

  Input& input_;
  std::size_t target_;
  std::size_t n_ = 0;
  std::array<std::int64_t, 32> recent_{};
};

template <class Entries>
bool has(const Entries& entries, std::int32_t index) {
  return index >= 0 && index < std::ssize(entries);
}
template <class Entries>
auto& at(Entries& entries, std::int32_t index) {
  return entries[static_cast<std::size_t>(index)];
}

void repair_indices(Snapshot& s) {
  std::int32_t i = 0;
  for (auto& g : s.segments) g.index = i++;
  i = 0;
  for (auto& n : s.nodes) n.index = i++;
  i = 0;
  for (auto& e : s.sequences) e.index = i++;
}

void repair_lengths(Snapshot& s) {
  for (auto& g : s.segments) {
    std::uint32_t length = 0;
    for (SlotRun& run : g.runs) {
      run.offset = static_cast<std::int32_t>(length);
      length += static_cast<std::uint32_t>(run.count);
    }
    g.length = static_cast<std::int32_t>(length);
  }
}

void repair_tokens(Snapshot& s) {
  for (std::size_t round = 0; round < s.nodes.size() && round < 16; ++round)
    for (auto& n : s.nodes) {
      const std::int32_t before = has(s.nodes, n.parent) ? at(s.nodes, n.parent).n_tokens : 0;
      n.n_tokens = static_cast<std::int32_t>(static_cast<std::uint32_t>(before) + static_cast<std::uint32_t>(n.end));
    }
  for (auto& e : s.sequences)
    if (e.alive) e.fork_tokens = has(s.nodes, e.fork_node) ? at(s.nodes, e.fork_node).n_tokens : 0;
}

void repair_references(Snapshot& s) {
  for (auto& g : s.segments) g.refs = 0, g.writer = kNone;
  for (auto& n : s.nodes) n.refs = 0;
  for (auto& n : s.nodes) {
    if (has(s.nodes, n.parent)) ++at(s.nodes, n.parent).refs;
    if (has(s.segments, n.segment)) ++at(s.segments, n.segment).refs;
  }
  for (auto& e : s.sequences) {
    if (has(s.nodes, e.head)) ++at(s.nodes, e.head).refs;
    if (has(s.segments, e.open)) ++at(s.segments, e.open).refs, at(s.segments, e.open).writer = e.index;
  }
}

void repair_children(Snapshot& s) {
  for (auto& e : s.sequences)
    std::erase_if(e.children, [&](std::int32_t c) {
      return !has(s.sequences, c) || !at(s.sequences, c).alive || at(s.sequences, c).parent != e.index;
    });
  for (auto& e : s.sequences) {
    if (!e.alive || !has(s.sequences, e.parent)) continue;
    auto& siblings = at(s.sequences, e.parent).children;
    if (std::find(siblings.begin(), siblings.end(), e.index) == siblings.end()) siblings.push_back(e.index);
  }
}

void repair_pages(Snapshot& s) {
  for (auto& p : s.pages) p.used = p.fill = 0, p.writer = kNone;
  const std::int64_t n_slots = std::int64_t{s.n_pages} * s.page_size;
  for (const auto& g : s.segments)
    for (const SlotRun& run : g.runs)
      for (std::int64_t slot = run.first; slot >= 0 && slot < std::min(n_slots, std::int64_t{run.first} + run.count);
           ++slot) {
        if (slot / s.page_size >= std::ssize(s.pages)) break;
        auto& p = s.pages[static_cast<std::size_t>(slot / s.page_size)];
        ++p.used;
        p.fill = std::max(p.fill, static_cast<std::int32_t>(slot % s.page_size) + 1);
      }
  for (const auto& e : s.sequences)
    for (const std::int32_t page : e.tails)
      if (has(s.pages, page)) at(s.pages, page).writer = e.index;
  s.n_free_pages = static_cast<std::int32_t>(
      std::count_if(s.pages.begin(), s.pages.end(), [](const auto& p) { return p.used == 0 && p.writer == kNone; }));
}

void repair_positions(Snapshot& s) {
  for (auto& n : s.nodes) {
    if (!has(s.segments, n.segment)) continue;
    const auto& g = at(s.segments, n.segment);
    if (n.ordinal == g.ordinal) n.rule = {kNever, g.first};
    n.next_before = n.rule.at(0);
  }
  for (auto& e : s.sequences) {
    if (!e.alive) continue;
    if (has(s.segments, e.open))
      e.next = static_cast<std::int32_t>(static_cast<std::uint32_t>(at(s.segments, e.open).first) +
                                         static_cast<std::uint32_t>(at(s.segments, e.open).length));
    if (e.parent == kNone) e.limit = s.max_position;
  }
}

}  // namespace

void change_bytes(Input& input, std::vector<std::byte>& bytes) {
  for (int i = 1 + input.below(4); i-- > 0 && bytes.size() > kHeader;) {
    const std::size_t place = kHeader + input.word() % (bytes.size() - kHeader);
    const auto where = bytes.begin() + static_cast<std::ptrdiff_t>(place);
    switch (input.below(5)) {
      case 0: *where = static_cast<std::byte>(input.byte()); break;
      case 1: *where ^= static_cast<std::byte>(1 << input.below(8)); break;
      case 2: bytes.insert(where, static_cast<std::byte>(input.byte())); break;
      case 3: bytes.erase(where); break;
      default: {
        const auto value = static_cast<std::uint32_t>(input.odd_number());
        for (std::size_t k = 0; k < 4 && place + k < bytes.size(); ++k)
          bytes[place + k] = static_cast<std::byte>(value >> (8 * k) & 0xff);
      }
    }
  }
  write_number(bytes, 12, bytes.size() - kHeader);
  write_number(bytes, 20, impl::fnv1a(std::span(bytes).subspan(kHeader)));
}

void change_field(Input& input, Snapshot& snapshot) {
  const auto change = [&](auto& part) {
    FieldChange count(input, std::numeric_limits<std::size_t>::max());
    count(part);
    FieldChange(input, input.word() % count.n_fields())(part);
  };
  switch (input.below(6)) {  // pages are many, and say little
    case 0: return change(snapshot);
    case 1: return change(snapshot.segments);
    case 2:
    case 3: return change(snapshot.nodes);
    default: return change(snapshot.sequences);
  }
}

void repair(Input& input, Snapshot& s) {
  const std::uint8_t wanted = input.byte();
  if (wanted & 1) repair_indices(s);
  if (wanted & 2) repair_lengths(s);
  if (wanted & 4) repair_tokens(s);
  if (wanted & 8) repair_references(s);
  if (wanted & 16) repair_children(s);
  if (wanted & 32) repair_positions(s);
  if (wanted & 64 && s.page_size > 0 && s.page_size < 1 << 20) repair_pages(s);
  if (wanted & 128) s.n_pages = static_cast<std::int32_t>(s.pages.size());
}

}  // namespace fuzz
