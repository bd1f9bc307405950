#include "proto/chunk/chunk.h"

#include <openssl/evp.h>

#include "sextant/v1/types.pb.h"

namespace sextant::chunk {

Limits LimitsFrom(const v1::ServiceLimits& service) {
  Limits limits;
  if (service.max_events_per_chunk() > 0) limits.max_events = service.max_events_per_chunk();
  if (service.max_tracks_per_chunk() > 0) limits.max_tracks = service.max_tracks_per_chunk();
  if (service.max_regions_per_pass() > 0) {
    limits.max_regions = limits.max_roles = service.max_regions_per_pass();
  }
  if (service.max_chunk_bytes() > 0) limits.max_chunk_bytes = service.max_chunk_bytes();
  return limits;
}

std::string Digest(std::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &length,
             EVP_sha256(), nullptr);
  return digest;
}

std::string TraceDigest(const std::vector<std::string>& chunk_digests) {
  std::string all;
  all.reserve(32 * chunk_digests.size());
  for (const std::string& digest : chunk_digests) all += digest;
  return Digest(all);
}

}  // namespace sextant::chunk
