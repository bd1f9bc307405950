// What a worker is told at its start. Every bound and every time of the worker has its name here.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "client/endpoint/endpoint.h"
#include "workers/agent/backoff.h"
#include "workers/agent/warm_pool.h"
#include "workers/backends/backend.h"
#include "workers/gpu/pool.h"

namespace sextant::agent {

struct AgentLimits {
  uint64_t blob_cache_bytes = 8ull << 30;  // files of workloads kept for the next pass
  uint32_t kept_passes = 64;               // directories kept for `sextant shell`; oldest go first
  uint32_t commits_per_request = 64;
  uint64_t commit_request_bytes = 2 << 20;  // below the coordinator's max_message_bytes
  uint64_t upload_piece_bytes = 512 << 10;  // below max_blob_chunk_bytes
  uint32_t remembered_passes = 4096;        // ended ones, whose repeated assignment is ignored
  uint32_t max_artifacts = 256;             // of one pass; more are left out with a note
};

struct AgentTimes {
  BackoffTimes reconnect;                           // of the stream, fetches, uploads and commits
  // Of the stream, while the coordinator refuses the worker or cannot be trusted: somebody must act.
  BackoffTimes refused{std::chrono::seconds(1), std::chrono::seconds(30)};
  std::chrono::milliseconds first_heartbeat{1000};  // until the coordinator has said lease_s
  std::chrono::nanoseconds silence = std::chrono::seconds(30);    // likewise: then reconnect
  std::chrono::nanoseconds last_words = std::chrono::seconds(2);  // to commit after a kill
  std::chrono::seconds call_deadline{60};  // of one unary call; streams have none
};

struct AgentOptions {
  std::string coordinator;  // "host:port", "https://host:port" or "unix:///path"
  endpoint::Options endpoint;   // how it is reached, and as whom; its address is `coordinator`
  std::filesystem::path state_dir;
  std::string name;  // empty: "<host>-<digest of state_dir>"
  uint32_t cpu_slots = 1;
  std::vector<std::string> rootfs_allowed;  // path prefixes
  backends::Site site;
  // Every measuring pass leaves a recording here (docs/recordings.md); empty: none does.
  std::filesystem::path record_dir;
  gpu::PoolOptions gpu;
  AgentLimits limits;
  AgentTimes times;
  WarmTimes warm;
};

// In a kept directory: how its program was run, for `sextant-worker --shell`.
inline constexpr char kRunSpecFile[] = "run.json";

// Where things lie below the state directory.
struct StateDirs {
  explicit StateDirs(const std::filesystem::path& state)
      : root(state),
        passes(state / "passes"),
        blobs(state / "blobs"),
        spool(state / "spool"),
        kept(state / "kept") {}
  std::filesystem::path root, passes, blobs, spool, kept;
};

}  // namespace sextant::agent
