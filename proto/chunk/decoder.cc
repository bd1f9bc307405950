#include "proto/chunk/decoder.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/chunk/varint.h"
#include "proto/status/status.h"

namespace sextant::chunk {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("chunk: ", args...));
}

struct Parts {
  std::string_view header;
  std::string_view columns;
};

// A Chunk is two length-delimited fields. Taken apart by hand, because parsing it would copy the
// columns, and would allocate for a header of any size.
absl::StatusOr<Parts> Split(std::string_view bytes) {
  Parts parts;
  const uint8_t* const base = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t at = 0;
  for (int field = 1; field <= 2; ++field) {
    const char* name = field == 1 ? "header" : "columns";
    if (at == bytes.size()) {
      if (field == 2) break;  // empty columns are left out
      return Invalid("header is missing");
    }
    if (base[at] != (field << 3 | 2)) return Invalid("byte ", at, " does not begin ", name);
    VarintReader reader(base + at + 1, base + bytes.size());
    const uint64_t length = reader.Next();
    const size_t body = reader.at() - base;
    if (!reader.ok() || length > bytes.size() - body) {
      return Invalid(name, " is cut off: it claims ", length, " bytes of ", bytes.size() - body);
    }
    (field == 1 ? parts.header : parts.columns) = bytes.substr(body, length);
    at = body + length;
  }
  if (at != bytes.size()) return Invalid(bytes.size() - at, " bytes follow the columns");
  return parts;
}

absl::Status CheckNames(const google::protobuf::RepeatedPtrField<std::string>& names,
                        const char* field, uint32_t max, uint32_t max_name_bytes) {
  if (names.size() > static_cast<int>(max)) {
    return Invalid("header.", field, ": ", names.size(), " names, the limit is ", max);
  }
  for (int i = 0; i < names.size(); ++i) {
    if (names[i].size() > max_name_bytes) {
      return Invalid("header.", field, "[", i, "]: ", names[i].size(), " bytes, the limit is ",
                     max_name_bytes);
    }
    if (CleanName(names[i], max_name_bytes) != names[i]) {
      return Invalid("header.", field, "[", i, "] is not printable UTF-8");
    }
  }
  return absl::OkStatus();
}

// The most bytes that the columns of so many tracks and events can take.
uint64_t MaxColumnsBytes(uint64_t tracks, uint64_t events) {
  return tracks * 9 * kMaxVarint + events * (4 * kMaxVarint + 2);
}

absl::Status CheckHeader(const v1::ChunkHeader& h, const Limits& limits) {
  if (h.version() != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk: header.version is ", h.version(), ", this program reads version ",
                     kVersion, "; update the older of worker and service"));
  }
  if (h.unit() != v1::NANOSECONDS && h.unit() != v1::CYCLES) {
    return Invalid("header.unit is ", static_cast<int>(h.unit()));
  }
  const double scale = h.ns_per_unit();
  if (!std::isfinite(scale) || scale <= 0 || scale > kMaxNsPerUnit ||
      (h.unit() == v1::NANOSECONDS && scale != 1)) {
    return Invalid("header.ns_per_unit is ", scale);
  }
  RETURN_IF_ERROR(CheckNames(h.regions(), "regions", limits.max_regions, limits.max_name_bytes));
  RETURN_IF_ERROR(CheckNames(h.roles(), "roles", limits.max_roles, limits.max_name_bytes));
  if (h.kernel().size() > limits.max_name_bytes) {
    return Invalid("header.kernel: ", h.kernel().size(), " bytes, the limit is ",
                   limits.max_name_bytes);
  }
  if (CleanName(h.kernel(), limits.max_name_bytes) != h.kernel()) {
    return Invalid("header.kernel is not printable UTF-8");
  }
  if (h.tracks() > limits.max_tracks) {
    return Invalid("header.tracks is ", h.tracks(), ", the limit is ", limits.max_tracks);
  }
  if (h.events() > limits.max_events) {
    return Invalid("header.events is ", h.events(), ", the limit is ", limits.max_events);
  }
  if (h.first_ns() > h.last_ns() || h.last_ns() > 2 * kMaxTime) {
    return Invalid("header.first_ns is ", h.first_ns(), ", last_ns ", h.last_ns());
  }
  if (h.region_bitmap().size() > (static_cast<size_t>(h.regions_size()) + 7) / 8) {
    return Invalid("header.region_bitmap has bits beyond the ", h.regions_size(), " regions");
  }
  if (h.columns_bytes() > MaxColumnsBytes(h.tracks(), h.events())) {
    return Invalid("header.columns_bytes is ", h.columns_bytes(), ", more than ", h.tracks(),
                   " tracks and ", h.events(), " events can take");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ChunkHeader> ParseHeader(std::string_view bytes, const Limits& limits) {
  if (bytes.size() > kMaxHeaderBytes) {
    return Invalid("header has ", bytes.size(), " bytes, the limit is ", kMaxHeaderBytes);
  }
  v1::ChunkHeader header;
  if (!header.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Invalid("header is not a ChunkHeader");
  }
  RETURN_IF_ERROR(CheckHeader(header, limits));
  return header;
}

absl::Status CheckSize(std::string_view bytes, const Limits& limits) {
  if (bytes.size() > limits.max_chunk_bytes) {
    return Invalid(bytes.size(), " bytes, the limit max_chunk_bytes is ", limits.max_chunk_bytes);
  }
  return absl::OkStatus();
}

// The nine columns of the tracks. Differences run over all 64 bits, what they lead to is checked.
absl::Status ReadTracks(VarintReader& in, const v1::ChunkHeader& h,
                        std::vector<TrackSlice>& tracks) {
  const size_t n = tracks.size();
  auto column = [&](const char* name, uint64_t max, bool delta, auto set) -> absl::Status {
    uint64_t before = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint64_t coded = in.Next();
      const uint64_t value = delta ? UnZigZag(coded, before) : coded;
      if (!in.ok()) return Invalid("columns end or break in tracks.", name, "[", i, "]");
      if (value > max) return Invalid("tracks.", name, "[", i, "] is ", value, ", the limit is ", max);
      set(tracks[i], value);
      before = value;
    }
    return absl::OkStatus();
  };
  const uint64_t max_role = h.roles_size() > 0 ? h.roles_size() - 1 : 0;
  if (n > 0 && h.roles_size() == 0) return Invalid("header.roles is empty, but there are tracks");
  using T = TrackSlice;
  RETURN_IF_ERROR(column("launch", UINT32_MAX, true, [](T& t, uint64_t v) { t.track.launch = v; }));
  RETURN_IF_ERROR(column("cta", UINT32_MAX, true, [](T& t, uint64_t v) { t.track.cta = v; }));
  RETURN_IF_ERROR(column("sm", UINT32_MAX, false, [](T& t, uint64_t v) { t.track.sm = v; }));
  RETURN_IF_ERROR(column("warp", UINT32_MAX, true, [](T& t, uint64_t v) { t.track.warp = v; }));
  RETURN_IF_ERROR(column("role", max_role, false, [](T& t, uint64_t v) { t.track.role = v; }));
  RETURN_IF_ERROR(column("origin_ns", kMaxTime, true, [](T& t, uint64_t v) { t.track.origin_ns = v; }));
  RETURN_IF_ERROR(column("count", h.events(), false, [](T& t, uint64_t v) { t.count = v; }));
  RETURN_IF_ERROR(column("dropped", kMaxTime, false, [](T& t, uint64_t v) { t.track.dropped = v; }));
  RETURN_IF_ERROR(column("flags", 1, false, [](T& t, uint64_t v) { t.track.from_tail = v != 0; }));
  uint64_t events = 0, dropped = 0;
  for (size_t i = 0; i < n; ++i) {
    tracks[i].begin = static_cast<uint32_t>(events);
    events += tracks[i].count;
    if (events > h.events()) break;
    dropped += tracks[i].track.dropped;
    if (dropped > kMaxTime) return Invalid("tracks.dropped[", i, "]: the sum is over ", kMaxTime);
  }
  if (events != h.events()) {
    return Invalid("header.events is ", h.events(), ", but the tracks count ", events);
  }
  if (dropped != h.dropped()) {
    return Invalid("header.dropped is ", h.dropped(), ", but the tracks sum to ", dropped);
  }
  return absl::OkStatus();
}

// Regions, starts and durations, and what the header says of them.
absl::Status ReadEvents(VarintReader& in, Decoded& d) {
  const v1::ChunkHeader& h = d.header;
  const size_t n = h.events();
  const uint64_t regions = h.regions_size();
  std::string bitmap((regions + 7) / 8, '\0');
  d.region.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const uint64_t region = in.Next();
    if (region >= regions || !in.ok()) {
      if (!in.ok()) return Invalid("columns end or break in region[", i, "]");
      return Invalid("region[", i, "] is ", region, ", there are ", regions);
    }
    d.region[i] = static_cast<uint32_t>(region);
    bitmap[region / 8] |= static_cast<char>(1 << region % 8);
  }
  d.start.resize(n);
  const uint8_t* low = in.Bytes(n);
  if (low == nullptr) return Invalid("columns end in start");
  for (const TrackSlice& slice : d.tracks) {
    uint64_t before = 0;
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      const uint64_t rest = in.Next();
      if (!in.ok()) return Invalid("columns end or break in start[", i, "]");
      if (rest > kMaxTime >> 8 || (before += rest << 8 | low[i]) > kMaxTime) {
        return Invalid("start[", i, "] is over ", kMaxTime);
      }
      d.start[i] = before;
    }
  }
  d.duration.resize(n);
  low = in.Bytes(n);
  if (low == nullptr) return Invalid("columns end in duration");
  for (size_t i = 0; i < n; ++i) {
    const uint64_t rest = in.Next();
    if (!in.ok()) return Invalid("columns end or break in duration[", i, "]");
    const uint64_t duration = rest << 8 | low[i];
    if (rest > kMaxTime >> 8 || duration > kMaxTime) {
      return Invalid("duration[", i, "] is over ", kMaxTime);
    }
    d.duration[i] = duration;
  }
  uint64_t first = UINT64_MAX, last = 0;
  const double scale = h.ns_per_unit();
  for (const TrackSlice& slice : d.tracks) {
    const uint64_t origin = slice.track.origin_ns;
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      const uint64_t end = d.start[i] + d.duration[i];
      // In double first: what does not fit must not be converted.
      if (static_cast<double>(end) * scale + static_cast<double>(origin) >
          static_cast<double>(kMaxTime)) {
        return Invalid("event ", i, " ends later than 2^60 ns after the pass began");
      }
      first = std::min(first, PlaceNs(origin, d.start[i], scale));
      last = std::max(last, PlaceNs(origin, end, scale));
    }
  }
  if (n == 0) first = 0;
  if (first != h.first_ns() || last != h.last_ns()) {
    return Invalid("header says ", h.first_ns(), "…", h.last_ns(), " ns, the columns ", first, "…",
                   last);
  }
  while (!bitmap.empty() && bitmap.back() == '\0') bitmap.pop_back();
  if (bitmap != h.region_bitmap()) {
    return Invalid("header.region_bitmap differs from the regions that occur");
  }
  return absl::OkStatus();
}

absl::Status ReadOrdinals(VarintReader& in, Decoded& d) {
  d.ordinal.resize(d.region.size());
  std::vector<uint64_t> next(d.header.regions_size());
  std::vector<uint32_t> seen_by(d.header.regions_size(), UINT32_MAX);
  for (uint32_t t = 0; t < d.tracks.size(); ++t) {
    const TrackSlice& slice = d.tracks[t];
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      const uint32_t region = d.region[i];
      if (seen_by[region] != t) {
        seen_by[region] = t;
        next[region] = in.Next();
        if (!in.ok() || next[region] > kMaxTime) {
          return Invalid("ordinals end, break or are too large at event ", i, " of track ", t);
        }
      }
      d.ordinal[i] = next[region]++;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Decoded> DecodeColumnsUntrusted(v1::ChunkHeader header, std::string_view columns,
                                               const Limits& limits) {
  RETURN_IF_ERROR(CheckHeader(header, limits));
  if (columns.size() != header.columns_bytes()) {
    return Invalid("header.columns_bytes is ", header.columns_bytes(), ", the columns have ",
                   columns.size());
  }
  // A track takes nine bytes at least and an event five: memory is bounded by what was sent.
  if (columns.size() < uint64_t{9} * header.tracks() + uint64_t{5} * header.events()) {
    return Invalid("columns end early: ", columns.size(), " bytes for ", header.tracks(),
                   " tracks and ", header.events(), " events");
  }
  Decoded d;
  d.header = std::move(header);
  d.tracks.resize(d.header.tracks());
  const uint8_t* const begin = reinterpret_cast<const uint8_t*>(columns.data());
  VarintReader in(begin, begin + columns.size());
  RETURN_IF_ERROR(ReadTracks(in, d.header, d.tracks));
  RETURN_IF_ERROR(ReadEvents(in, d));
  RETURN_IF_ERROR(ReadOrdinals(in, d));
  if (!in.at_end()) {
    return Invalid(begin + columns.size() - in.at(), " bytes follow the last column");
  }
  return d;
}

absl::StatusOr<Decoded> DecodeUntrusted(std::string_view bytes, const Limits& limits) {
  RETURN_IF_ERROR(CheckSize(bytes, limits));
  ASSIGN_OR_RETURN(const Parts parts, Split(bytes));
  ASSIGN_OR_RETURN(v1::ChunkHeader header, ParseHeader(parts.header, limits));
  const uint64_t size = header.columns_bytes();
  // The frame must say that it holds just what the header says, and be the only one.
  if (ZSTD_findFrameCompressedSize(parts.columns.data(), parts.columns.size()) !=
          parts.columns.size() ||
      ZSTD_getFrameContentSize(parts.columns.data(), parts.columns.size()) != size) {
    return Invalid("columns are not one zstd frame of header.columns_bytes = ", size, " bytes");
  }
  const auto plain = std::make_unique_for_overwrite<char[]>(size);
  const size_t got = ZSTD_decompress(plain.get(), size, parts.columns.data(), parts.columns.size());
  if (ZSTD_isError(got)) return Invalid("columns: zstd: ", ZSTD_getErrorName(got));
  if (got != size) return Invalid("columns hold ", got, " bytes, header.columns_bytes is ", size);
  return DecodeColumnsUntrusted(std::move(header), std::string_view(plain.get(), size), limits);
}

absl::StatusOr<v1::ChunkHeader> DecodeHeaderUntrusted(std::string_view bytes,
                                                      const Limits& limits) {
  RETURN_IF_ERROR(CheckSize(bytes, limits));
  ASSIGN_OR_RETURN(const Parts parts, Split(bytes));
  return ParseHeader(parts.header, limits);
}

}  // namespace sextant::chunk
