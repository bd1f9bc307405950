#include "workers/backends/formats/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends::formats {
namespace {

constexpr size_t kPieceBytes = 256 * 1024;
constexpr int kGzipOnly = 15 + 16;   // largest window, gzip's header and checksum
constexpr uInt kMaxInput = 1u << 30;   // zlib counts in 32 bits

enum class End { kWhole, kTooLarge, kDamaged };

End Unpack(std::string_view bytes, uint64_t max_bytes, std::string* out) {
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) return End::kDamaged;
  std::string piece(kPieceBytes, '\0');
  End end = End::kDamaged;
  for (int status = Z_OK;;) {
    if (stream.avail_in == 0) {
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), kMaxInput));
      bytes.remove_prefix(stream.avail_in);
    }
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) {
        end = End::kWhole;
        break;
      }
      if (inflateReset(&stream) != Z_OK) break;   // another member
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = kPieceBytes;
    status = inflate(&stream, Z_NO_FLUSH);
    out->append(piece, 0, kPieceBytes - stream.avail_out);
    if (out->size() > max_bytes) {
      end = End::kTooLarge;
      break;
    }
    if (status != Z_OK && status != Z_STREAM_END) break;   // also without progress: it was cut off
  }
  inflateEnd(&stream);
  return end;
}

}  // namespace

bool IsGzip(std::string_view bytes) { return bytes.substr(0, 2) == "\x1f\x8b"; }

absl::StatusOr<std::string> UnpackGzipUntrusted(std::string_view bytes, uint64_t max_bytes) {
  std::string out;
  switch (Unpack(bytes, max_bytes, &out)) {
    case End::kWhole:
      return out;
    case End::kTooLarge:
      return absl::ResourceExhaustedError(absl::StrCat("unpacks to more than ", max_bytes, " bytes"));
    case End::kDamaged:
      break;
  }
  return absl::DataLossError(
      absl::StrCat("the gzip frame is damaged or cut off after ", out.size(), " unpacked bytes"));
}

std::string UnpackGzipHead(std::string_view bytes, uint64_t max_bytes) {
  std::string out;
  Unpack(bytes, max_bytes, &out);
  out.resize(std::min<uint64_t>(out.size(), max_bytes));
  return out;
}

}  // namespace sextant::backends::formats
