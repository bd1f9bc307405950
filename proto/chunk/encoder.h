// Instances in, chunks out. Used by the workers' backends.
//
//   chunk::TraceInfo info{.kernel = "matmul", .regions = {"load", "mma"}, .roles = {"producer"}};
//   info.tracks.push_back({.warp = 0, .role = 0});
//   std::vector<chunk::Instance> instances = …;           // in any order
//   ASSIGN_OR_RETURN(auto chunks, chunk::EncodeTrace(info, std::move(instances)));
//   // each: .bytes goes into TraceUpload.chunk, .digest into TraceUpload.digest
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/chunk/chunk.h"

namespace sextant::chunk {

// What is the same for a whole trace. Names may be any bytes: what is not printable UTF-8 becomes
// '?', and what is longer than max_name_bytes is cut.
struct TraceInfo {
  std::string kernel;                           // GPU: kernel name; host: program name
  v1::TimeUnit unit = v1::NANOSECONDS;
  double ns_per_unit = 1;                       // 1 for NANOSECONDS
  std::vector<std::string> regions = {};
  std::vector<std::string> roles = {};          // at least one when there are tracks; "": unnamed
  std::vector<Track> tracks = {};
};

struct EncodedChunk {
  std::string bytes;     // a serialized v1::Chunk
  std::string digest;    // SHA-256 of `bytes`, raw
  uint32_t sequence = 0;
  uint32_t events = 0;
  uint32_t tracks = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
};

// Receives chunks in order. A status other than OK ends the encoding and is returned from it.
using ChunkSink = std::function<absl::Status(EncodedChunk)>;

// Encodes a trace that is handed over piece by piece, in time order. Owns what must be remembered
// between chunks: the sequence, and ordinals. One thread.
class Encoder {
 public:
  // INVALID_ARGUMENT: more regions or roles than the limits allow, a track with a role that is not
  // in the table, a unit without a scale.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(TraceInfo info, ChunkSink sink,
                                                         Limits limits = {});
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // Sorts `instances`, cuts them into chunks and hands these to the sink. Everything in one call
  // must not start before what earlier calls gave. INVALID_ARGUMENT: an unknown track or region, or
  // a time out of range; chunks before it have gone out.
  absl::Status Add(std::vector<Instance> instances);

  // Writes tracks that lost records and have no event, so that their loss is counted. A trace
  // without any event gets one chunk. Call once, last.
  absl::Status Finish();

  uint32_t chunks() const;

 private:
  class Impl;
  explicit Encoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The whole trace at once; `instances` in any order.
absl::Status EncodeTrace(TraceInfo info, std::vector<Instance> instances, ChunkSink sink,
                         Limits limits = {});
absl::StatusOr<std::vector<EncodedChunk>> EncodeTrace(TraceInfo info,
                                                      std::vector<Instance> instances,
                                                      Limits limits = {});

}  // namespace sextant::chunk
