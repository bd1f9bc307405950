// The chunk decoder under any bytes. The first byte chooses the way in: even, the rest is a chunk as
// it arrives; odd, a header (two bytes of length before it) and columns that are not compressed,
// because hardly any mutation would get past the compression.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/chunk/decoder.h"

namespace {

using sextant::chunk::Decoded;

void Check(bool holds) {
  if (!holds) abort();
}

// What every user of a decoded chunk relies on.
void CheckDecoded(const Decoded& d) {
  const size_t n = d.header.events();
  Check(d.region.size() == n && d.start.size() == n && d.duration.size() == n);
  Check(d.ordinal.size() == n && d.tracks.size() == d.header.tracks());
  uint32_t at = 0;
  for (const auto& slice : d.tracks) {
    Check(slice.begin == at && slice.count <= n - at);
    Check(slice.track.role < static_cast<uint32_t>(d.header.roles_size()));
    for (; at < slice.begin + slice.count; ++at) {
      Check(d.region[at] < static_cast<uint32_t>(d.header.regions_size()));
      Check(at == slice.begin || d.start[at] >= d.start[at - 1]);
      const uint64_t end = sextant::chunk::PlaceNs(slice.track.origin_ns,
                                                   d.start[at] + d.duration[at],
                                                   d.header.ns_per_unit());
      Check(end <= d.header.last_ns());
    }
  }
  Check(at == n);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    auto header = sextant::chunk::DecodeHeaderUntrusted(bytes);
    auto decoded = sextant::chunk::DecodeUntrusted(bytes);
    if (decoded.ok()) {
      Check(header.ok());
      CheckDecoded(*decoded);
    }
    return 0;
  }
  if (bytes.size() < 2) return 0;
  const size_t length = static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1]) << 8;
  if (length > bytes.size() - 2) return 0;
  sextant::v1::ChunkHeader header;
  if (!header.ParseFromArray(bytes.data() + 2, static_cast<int>(length))) return 0;
  const std::string_view columns = bytes.substr(2 + length);
  header.set_columns_bytes(columns.size());
  auto decoded = sextant::chunk::DecodeColumnsUntrusted(header, columns);
  if (decoded.ok()) CheckDecoded(*decoded);
  return 0;
}
