// The frames of the instrument `activity` (format.h). Each payload is an array of one record.
// Times are ns of CLOCK_MONOTONIC; ids are CUPTI's; names are ids of kText frames.
#pragma once

#include <cstdint>

#include "workers/inject/format.h"

namespace sextant::inject {

enum ActivityFrame : uint32_t {
  kKernels = kActivityFrames + 0,
  kCopies = kActivityFrames + 1,
  kApiCalls = kActivityFrames + 2,
  kSyncs = kActivityFrames + 3,
  kMarkers = kActivityFrames + 4,
  kDevices = kActivityFrames + 5,
  kContexts = kActivityFrames + 6,
  kLaunched = kActivityFrames + 7,
};

struct KernelRecord {
  uint64_t start_ns;  // 0: it had not ended when it was recorded
  uint64_t end_ns;
  uint64_t graph_node;
  uint64_t local_total_bytes;
  uint32_t name;  // mangled
  uint32_t device, context, stream, graph, correlation;
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t cluster[3];
  uint32_t static_shared_bytes, dynamic_shared_bytes, shared_executed_bytes;
  uint32_t local_bytes;  // of a thread
  uint16_t registers;
  uint16_t launch_type;  // CUpti_ActivityLaunchType
};
static_assert(sizeof(KernelRecord) == 112);

enum CopyKind : uint32_t { kMemset = 100, kPeer = 101 };  // beside CUpti_ActivityMemcpyKind

struct CopyRecord {
  uint64_t start_ns, end_ns, bytes, graph_node;
  uint32_t kind;
  uint32_t device, context, stream, graph, correlation;
};
static_assert(sizeof(CopyRecord) == 56);

struct ApiRecord {
  uint64_t start_ns, end_ns;
  uint32_t name;
  uint32_t thread;  // the system's id
  uint32_t correlation;
  uint32_t result;
};
static_assert(sizeof(ApiRecord) == 32);

struct SyncRecord {
  uint64_t start_ns, end_ns;
  uint32_t type;  // CUpti_ActivitySynchronizationType
  uint32_t context, stream, correlation;
};
static_assert(sizeof(SyncRecord) == 32);

enum MarkerKind : uint32_t { kInstant = 1, kBegin = 2, kEnd = 3 };

struct MarkerRecord {
  uint64_t at_ns;
  uint32_t kind;  // MarkerKind
  uint32_t id;    // the same for begin and end
  uint32_t name;  // none at an end
  uint32_t domain;
  uint32_t thread;
  uint32_t reserved;
};
static_assert(sizeof(MarkerRecord) == 32);

struct DeviceRecord {
  uint8_t uuid[16];
  uint32_t device, name;
  uint32_t major, minor;  // compute capability
  uint32_t multiprocessors, warp_threads;
  uint32_t max_warps, max_blocks;                      // of a multiprocessor
  uint32_t max_registers, max_shared_bytes;            // of a multiprocessor
  uint32_t max_block_registers, max_block_shared_bytes, max_block_threads;
  uint32_t core_khz;
};
static_assert(sizeof(DeviceRecord) == 72);

struct ContextRecord {
  uint32_t context, device, null_stream, reserved;
};
static_assert(sizeof(ContextRecord) == 16);

// Whose code a launch ran, where the kernel's name is not enough to tell.
struct LaunchedRecord {
  uint32_t correlation, module, symbol, reserved;
};
static_assert(sizeof(LaunchedRecord) == 16);

}  // namespace sextant::inject
