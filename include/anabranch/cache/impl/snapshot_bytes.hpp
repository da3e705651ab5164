// Snapshot: its bytes. Layout: magic, version, payload length, checksum (FNV-1a), then every field in the order of
// `visit_fields`; integers little endian, vectors with a 64-bit count in front.
#pragma once

#include <concepts>
#include <type_traits>

#include <anabranch/cache/snapshot_fields.hpp>
#include <anabranch/error.hpp>

namespace anabranch {
namespace impl {

inline constexpr std::uint64_t kSnapshotMagic = 0x31706e736e6261ull;  // "abnsnp1"
inline constexpr std::uint32_t kSnapshotVersion = 3;

class ByteWriter {
 public:
  template <std::integral T>
  void operator()(const T& value) {
    const auto bits = static_cast<std::uint64_t>(static_cast<std::make_unsigned_t<T>>(value));
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<std::byte>((bits >> (8 * i)) & 0xff));
  }
  void operator()(bool value) { (*this)(static_cast<std::uint8_t>(value)); }
  void operator()(std::byte value) { bytes.push_back(value); }
  template <class T>
  void operator()(const std::vector<T>& values);
  template <class T>
  requires std::is_class_v<T>
  void operator()(const T& value);
  std::vector<std::byte> bytes;
};

/// The least number of bytes that a value takes: vectors in it are empty.
class ByteCounter {
 public:
  template <std::integral T>
  constexpr void operator()(const T&) {
    n_bytes += sizeof(T);
  }
  constexpr void operator()(bool) { ++n_bytes; }
  constexpr void operator()(std::byte) { ++n_bytes; }
  template <class T>
  constexpr void operator()(const std::vector<T>&) {
    n_bytes += sizeof(std::uint64_t);
  }
  template <class T>
  requires std::is_class_v<T>
  void operator()(const T& value);
  std::size_t n_bytes = 0;
};

class ByteReader {
 public:
  /// `what` names the bytes in messages.
  explicit ByteReader(std::span<const std::byte> bytes, const char* what = "snapshot") : rest_(bytes), what_(what) {}
  template <std::integral T>
  void operator()(T& value) {
    need(sizeof(T));
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) bits |= std::to_integer<std::uint64_t>(rest_[i]) << (8 * i);
    value = static_cast<T>(bits);
    rest_ = rest_.subspan(sizeof(T));
  }
  void operator()(bool& value) {
    std::uint8_t byte = 0;
    (*this)(byte);
    if (byte > 1) fail(Status::bad_snapshot, what_, " has ", byte, " where 0 or 1 is expected");
    value = byte == 1;
  }
  void operator()(std::byte& value) {
    need(1);
    value = rest_[0];
    rest_ = rest_.subspan(1);
  }
  template <class T>
  void operator()(std::vector<T>& values);
  template <class T>
  requires std::is_class_v<T>
  void operator()(T& value);
  std::size_t left() const noexcept { return rest_.size(); }
  std::span<const std::byte> rest() const noexcept { return rest_; }

 private:
  void need(std::size_t n) const {
    if (rest_.size() < n) fail(Status::bad_snapshot, what_, " ends ", n - rest_.size(), " bytes too early");
  }
  std::span<const std::byte> rest_;
  const char* what_;
};

// One list of fields per struct, for both directions.
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, SlotRun>
void visit_fields(V& v, T& x) { v(x.first), v(x.count), v(x.offset); }
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, NextRule>
void visit_fields(V& v, T& x) { v(x.floor), v(x.shift); }
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, Snapshot::PageEntry>
void visit_fields(V& v, T& x) { v(x.used), v(x.fill), v(x.writer); }
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, Snapshot::SegmentEntry>
void visit_fields(V& v, T& x) { v(x.index), v(x.ordinal), v(x.first), v(x.length), v(x.refs), v(x.writer), v(x.runs); }
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, Snapshot::NodeEntry>
void visit_fields(V& v, T& x) {
  v(x.index), v(x.ordinal), v(x.rule), v(x.parent), v(x.segment), v(x.end), v(x.n_tokens), v(x.next_before), v(x.refs);
}
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, Snapshot::SequenceEntry>
void visit_fields(V& v, T& x) {
  v(x.index), v(x.generation), v(x.alive), v(x.parent), v(x.head), v(x.open), v(x.next), v(x.start), v(x.fork_node);
  v(x.fork_tokens), v(x.limit), v(x.hold), v(x.reserved_ordinal), v(x.has_rejected), v(x.policy), v(x.children),
      v(x.tails);
}
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, Snapshot>
void visit_fields(V& v, T& x) {
  v(x.n_pages), v(x.n_free_pages), v(x.page_size), v(x.max_sequences), v(x.max_depth), v(x.max_position),
      v(x.first_generation), v(x.share_tails);
  v(x.ordinal), v(x.pages), v(x.segments), v(x.nodes), v(x.sequences), v(x.keep_tokens), v(x.tokens);
}

template <class T>
void ByteWriter::operator()(const std::vector<T>& values) {
  (*this)(static_cast<std::uint64_t>(values.size()));
  for (const T& value : values) (*this)(value);
}
template <class T>
requires std::is_class_v<T>
void ByteWriter::operator()(const T& value) { visit_fields(*this, value); }
template <class T>
requires std::is_class_v<T>
void ByteCounter::operator()(const T& value) { visit_fields(*this, value); }
template <class T>
void ByteReader::operator()(std::vector<T>& values) {
  std::uint64_t n = 0;
  (*this)(n);
  ByteCounter least;
  least(T{});
  if (n > rest_.size() / least.n_bytes)  // no huge allocation for a damaged count
    fail(Status::bad_snapshot, what_, " claims ", n, " elements of ", least.n_bytes, " bytes or more in ", rest_.size(),
         " bytes");
  values.resize(static_cast<std::size_t>(n));
  for (T& value : values) (*this)(value);
}
template <class T>
requires std::is_class_v<T>
void ByteReader::operator()(T& value) { visit_fields(*this, value); }

inline std::uint64_t fnv1a(std::span<const std::byte> bytes) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3ull;
  return hash;
}

}  // namespace impl

template <class>
std::vector<std::byte> Snapshot::save() const {
  impl::ByteWriter body;
  impl::visit_fields(body, *this);
  impl::ByteWriter whole;
  whole(impl::kSnapshotMagic);
  whole(impl::kSnapshotVersion);
  whole(static_cast<std::uint64_t>(body.bytes.size()));
  whole(impl::fnv1a(body.bytes));
  whole.bytes.insert(whole.bytes.end(), body.bytes.begin(), body.bytes.end());
  return std::move(whole.bytes);
}

template <class>
Snapshot Snapshot::load(std::span<const std::byte> bytes) {
  impl::ByteReader reader(bytes);
  std::uint64_t magic = 0, length = 0, checksum = 0;
  std::uint32_t version = 0;
  reader(magic), reader(version), reader(length), reader(checksum);
  if (magic != impl::kSnapshotMagic) fail(Status::bad_snapshot, "these bytes are not a snapshot");
  if (version != impl::kSnapshotVersion)
    fail(Status::bad_snapshot, "snapshot of version ", version, "; this library reads version ",
         impl::kSnapshotVersion);
  if (length != reader.left()) fail(Status::bad_snapshot, "snapshot of ", length, " bytes has ", reader.left());
  if (impl::fnv1a(reader.rest()) != checksum) fail(Status::bad_snapshot, "snapshot is damaged: its checksum differs");
  Snapshot snapshot;
  impl::visit_fields(reader, snapshot);
  if (reader.left() != 0) fail(Status::bad_snapshot, "snapshot has ", reader.left(), " bytes left over");
  if (const std::vector<std::string> violated = snapshot.check(); !violated.empty())
    fail(Status::bad_snapshot, "snapshot breaks an invariant: ", violated.front());
  return snapshot;
}

}  // namespace anabranch
