// The instrument `activity`: what the GPU did and when, by CUPTI's activity records.
//
// CUPTI fills buffers and hands them back on a thread of its own, or on the one that flushes: only
// there records are turned into ours (activity_format.h) and written. What a program adds to a
// launch is what CUPTI adds.

#include <cstdlib>
#include <cstring>
#include <vector>

#include "workers/inject/activity_format.h"
#include "workers/inject/flusher.h"
#include "workers/inject/instruments.h"

namespace sextant::inject {
namespace {

// Large enough to be handed over seldom, small enough that little is held when a process dies: a
// buffer is handed over when it is full, or when nothing in it is still under way.
constexpr size_t kBufferBytes = 256u << 10;
constexpr size_t kMaxFreeBuffers = 16;
constexpr uint64_t kDefaultFlushMs = 20;
// Where a program waits for the GPU everything is complete, and it may end right after: then it
// flushes itself, but not more often than this.
constexpr uint64_t kSyncFlushNs = 10'000'000;
// Nothing was handed over for so long: something hangs, and what is under way is taken as it is. A
// kernel that is only slow then loses its end, so this is longer than kernels are.
constexpr uint64_t kStallNs = 10'000'000'000;

// The records we read are the same from CUDA 12.0 on, as far as we read them.
using CuptiKernel = CUpti_ActivityKernel9;
using CuptiCopy = CUpti_ActivityMemcpy5;
using CuptiPeerCopy = CUpti_ActivityMemcpyPtoP4;
using CuptiMemset = CUpti_ActivityMemset4;
using CuptiDevice = CUpti_ActivityDevice4;
using CuptiContext = CUpti_ActivityContext3;
static_assert(offsetof(CUpti_ActivityKernel10, clusterZ) == offsetof(CuptiKernel, clusterZ));
static_assert(offsetof(CUpti_ActivityKernel10, localMemoryTotal_v2) ==
              offsetof(CuptiKernel, localMemoryTotal_v2));
static_assert(offsetof(CUpti_ActivityMemcpy6, graphId) == offsetof(CuptiCopy, graphId));
static_assert(offsetof(CUpti_ActivityDevice5, isCudaVisible) ==
              offsetof(CuptiDevice, isCudaVisible));

// Records of one kind on their way to the file.
template <typename Record>
class Batch {
 public:
  explicit Batch(uint32_t type) : type_(type) {}
  Record& Add() { return records_.emplace_back(); }
  void Write(RecordFile& file) {
    constexpr size_t kMost = kMaxPayloadBytes / sizeof(Record);
    for (size_t at = 0; at < records_.size(); at += kMost) {
      const size_t count = records_.size() - at < kMost ? records_.size() - at : kMost;
      file.Append(type_, records_.data() + at, count * sizeof(Record));
    }
    records_.clear();
  }

 private:
  const uint32_t type_;
  std::vector<Record> records_;
};

struct State {
  explicit State(Session& of) : session(of) {}

  Session& session;
  Flusher flusher;
  bool crash = false;  // in the first buffer that is handed over: for tests

  pthread_mutex_t buffers_lock = PTHREAD_MUTEX_INITIALIZER;
  std::vector<uint8_t*> free_buffers;  // guarded by buffers_lock
  std::atomic<uint64_t> handed_over_ns{0};
  std::atomic<uint64_t> sync_flush_ns{0};
  bool stalled = false;  // the flusher's alone

  // One buffer is read at a time. Guarded by read_lock:
  pthread_mutex_t read_lock = PTHREAD_MUTEX_INITIALIZER;
  Batch<KernelRecord> kernels{kKernels};
  Batch<CopyRecord> copies{kCopies};
  Batch<ApiRecord> calls{kApiCalls};
  Batch<SyncRecord> syncs{kSyncs};
  Batch<MarkerRecord> markers{kMarkers};
  Batch<DeviceRecord> devices{kDevices};
  Batch<ContextRecord> contexts{kContexts};

  pthread_mutex_t launched_lock = PTHREAD_MUTEX_INITIALIZER;
  Batch<LaunchedRecord> launched{kLaunched};  // guarded by launched_lock
  std::atomic<bool> tells_launches{false};
};

State* state = nullptr;

uint32_t Text(const char* text) { return text != nullptr ? state->session.texts.Id(text) : 0; }

void Read(const CuptiKernel& from) {
  KernelRecord& to = state->kernels.Add();
  to = {.start_ns = from.start,
        .end_ns = from.end,
        .graph_node = from.graphNodeId,
        .local_total_bytes = from.localMemoryTotal_v2,
        .name = Text(from.name),
        .device = from.deviceId,
        .context = from.contextId,
        .stream = from.streamId,
        .graph = from.graphId,
        .correlation = from.correlationId};
  const auto set = [](uint32_t(&out)[3], auto x, auto y, auto z) {
    out[0] = static_cast<uint32_t>(x);
    out[1] = static_cast<uint32_t>(y);
    out[2] = static_cast<uint32_t>(z);
  };
  set(to.grid, from.gridX, from.gridY, from.gridZ);
  set(to.block, from.blockX, from.blockY, from.blockZ);
  set(to.cluster, from.clusterX, from.clusterY, from.clusterZ);
  to.static_shared_bytes = static_cast<uint32_t>(from.staticSharedMemory);
  to.dynamic_shared_bytes = static_cast<uint32_t>(from.dynamicSharedMemory);
  to.shared_executed_bytes = from.sharedMemoryExecuted;
  to.local_bytes = from.localMemoryPerThread;
  to.registers = from.registersPerThread;
  to.launch_type = from.launchType;
}

template <typename Cupti>
void ReadCopy(const Cupti& from, uint32_t kind) {
  state->copies.Add() = {.start_ns = from.start,
                         .end_ns = from.end,
                         .bytes = from.bytes,
                         .graph_node = from.graphNodeId,
                         .kind = kind,
                         .device = from.deviceId,
                         .context = from.contextId,
                         .stream = from.streamId,
                         .graph = from.graphId,
                         .correlation = from.correlationId};
}

void Read(const CUpti_ActivityAPI& from) {
  const CUpti_CallbackDomain domain = from.kind == CUPTI_ACTIVITY_KIND_RUNTIME
                                          ? CUPTI_CB_DOMAIN_RUNTIME_API
                                          : CUPTI_CB_DOMAIN_DRIVER_API;
  const char* name = nullptr;
  state->session.cupti.cuptiGetCallbackName(domain, from.cbid, &name);
  state->calls.Add() = {.start_ns = from.start,
                        .end_ns = from.end,
                        .name = Text(name),
                        .thread = from.threadId,
                        .correlation = from.correlationId,
                        .result = from.returnValue};
}

void Read(const CUpti_ActivitySynchronization& from) {
  state->syncs.Add() = {.start_ns = from.start,
                        .end_ns = from.end,
                        .type = static_cast<uint32_t>(from.type),
                        .context = from.contextId,
                        .stream = from.streamId,
                        .correlation = from.correlationId};
}

void Read(const CUpti_ActivityMarker2& from) {
  uint32_t kind = kInstant;
  if ((from.flags & CUPTI_ACTIVITY_FLAG_MARKER_START) != 0) kind = kBegin;
  if ((from.flags & CUPTI_ACTIVITY_FLAG_MARKER_END) != 0) kind = kEnd;
  state->markers.Add() = {
      .at_ns = from.timestamp,
      .kind = kind,
      .id = from.id,
      .name = Text(from.name),
      .domain = Text(from.domain),
      .thread = from.objectKind == CUPTI_ACTIVITY_OBJECT_THREAD ? from.objectId.pt.threadId : 0};
}

void Read(const CuptiDevice& from) {
  DeviceRecord& to = state->devices.Add();
  to = {.device = from.id,
        .name = Text(from.name),
        .major = from.computeCapabilityMajor,
        .minor = from.computeCapabilityMinor,
        .multiprocessors = from.numMultiprocessors,
        .warp_threads = from.numThreadsPerWarp,
        .max_warps = from.maxWarpsPerMultiprocessor,
        .max_blocks = from.maxBlocksPerMultiprocessor,
        .max_registers = from.maxRegistersPerMultiprocessor,
        .max_shared_bytes = from.maxSharedMemoryPerMultiprocessor,
        .max_block_registers = from.maxRegistersPerBlock,
        .max_block_shared_bytes = from.maxSharedMemoryPerBlock,
        .max_block_threads = from.maxThreadsPerBlock,
        .core_khz = from.coreClockRate};
  memcpy(to.uuid, from.uuid.bytes, sizeof(to.uuid));
}

void Read(const CuptiContext& from) {
  state->contexts.Add() = {
      .context = from.contextId, .device = from.deviceId, .null_stream = from.nullStreamId};
}

void Read(const CUpti_Activity* record) {
  // The records are packed as CUPTI says they are; ours are copies.
  switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      return Read(*reinterpret_cast<const CuptiKernel*>(record));
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& copy = *reinterpret_cast<const CuptiCopy*>(record);
      return ReadCopy(copy, copy.copyKind);
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY2:
      return ReadCopy(*reinterpret_cast<const CuptiPeerCopy*>(record), kPeer);
    case CUPTI_ACTIVITY_KIND_MEMSET:
      return ReadCopy(*reinterpret_cast<const CuptiMemset*>(record), kMemset);
    case CUPTI_ACTIVITY_KIND_RUNTIME:
    case CUPTI_ACTIVITY_KIND_DRIVER:
      return Read(*reinterpret_cast<const CUpti_ActivityAPI*>(record));
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION:
      return Read(*reinterpret_cast<const CUpti_ActivitySynchronization*>(record));
    case CUPTI_ACTIVITY_KIND_MARKER:
      return Read(*reinterpret_cast<const CUpti_ActivityMarker2*>(record));
    case CUPTI_ACTIVITY_KIND_DEVICE:
      return Read(*reinterpret_cast<const CuptiDevice*>(record));
    case CUPTI_ACTIVITY_KIND_CONTEXT:
      return Read(*reinterpret_cast<const CuptiContext*>(record));
    default:
      return;
  }
}

void WriteBatches(RecordFile& file) {
  state->devices.Write(file);
  state->contexts.Write(file);
  state->kernels.Write(file);
  state->copies.Write(file);
  state->calls.Write(file);
  state->syncs.Write(file);
  state->markers.Write(file);
}

void WriteLaunched() {
  const Locked locked(state->launched_lock);
  state->launched.Write(state->session.file);
}

void CUPTIAPI OnBufferRequested(uint8_t** buffer, size_t* size, size_t* max_records) {
  *max_records = 0;  // as many as fit
  *size = kBufferBytes;
  {
    const Locked locked(state->buffers_lock);
    if (!state->free_buffers.empty()) {
      *buffer = state->free_buffers.back();
      state->free_buffers.pop_back();
      return;
    }
  }
  *buffer = static_cast<uint8_t*>(aligned_alloc(16, kBufferBytes));
  if (*buffer == nullptr) *size = 0;
}

void TakeBack(uint8_t* buffer) {
  const Locked locked(state->buffers_lock);
  if (state->free_buffers.size() < kMaxFreeBuffers) {
    state->free_buffers.push_back(buffer);
  } else {
    free(buffer);
  }
}

void CUPTIAPI OnBufferCompleted(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const CuptiApi& cupti = state->session.cupti;
  RecordFile& file = state->session.file;
  {
    Inside inside(file);
    if (state->crash) *static_cast<volatile int*>(nullptr) = 0;
    const Locked locked(state->read_lock);
    CUpti_Activity* record = nullptr;
    while (valid > 0 && cupti.cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
      Read(record);
    }
    WriteBatches(file);
    size_t dropped = 0;
    if (cupti.cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped) == CUPTI_SUCCESS) {
      file.header().dropped_records += dropped;
    }
  }
  if (valid > 0) state->handed_over_ns = MonotonicNs();
  TakeBack(buffer);
}

uint64_t CUPTIAPI Timestamp() { return MonotonicNs(); }

void Flush() {
  // Without the flag: only buffers whose records are complete, so that none is cut in half.
  state->session.cupti.cuptiActivityFlushAll(0);
  WriteLaunched();
}

void FlushAtTimes() {
  Flush();
  const bool stalled = MonotonicNs() - state->handed_over_ns > kStallNs;
  if (stalled && !state->stalled) {
    state->session.cupti.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  }
  state->stalled = stalled;
}

void FlushAtSync() {
  const uint64_t now = MonotonicNs();
  uint64_t last = state->sync_flush_ns.load(std::memory_order_relaxed);
  if (now - last < kSyncFlushNs) return;
  if (state->sync_flush_ns.compare_exchange_strong(last, now)) Flush();
}

constexpr CUpti_CallbackId kLaunches[] = {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel,
                                          CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz,
                                          CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx,
                                          CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz,
                                          CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel,
                                          CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz};

CUfunction LaunchedFunction(CUpti_CallbackId id, const void* params) {
  switch (id) {
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz:
      return static_cast<const cuLaunchKernel_params*>(params)->f;
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz:
      return static_cast<const cuLaunchKernelEx_params*>(params)->f;
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz:
      return static_cast<const cuLaunchCooperativeKernel_params*>(params)->f;
    default:
      return nullptr;
  }
}

void OnCallback(Session& session, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                const void* data) {
  if (domain == CUPTI_CB_DOMAIN_RESOURCE && id == CUPTI_CBID_RESOURCE_MODULE_LOADED) {
    if (!session.modules.ambiguous() || state->tells_launches.exchange(true)) return;
    for (const CUpti_CallbackId launch : kLaunches) {
      session.cupti.cuptiEnableCallback(1, session.subscriber, CUPTI_CB_DOMAIN_DRIVER_API, launch);
    }
    return;
  }
  if (domain == CUPTI_CB_DOMAIN_SYNCHRONIZE) return FlushAtSync();
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API || !state->tells_launches) return;
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite != CUPTI_API_EXIT || call.functionParams == nullptr) return;
  const CUfunction function = LaunchedFunction(id, call.functionParams);
  FunctionRecord code;
  if (function == nullptr || !session.modules.FunctionOf(function, &code)) return;
  const Locked locked(state->launched_lock);
  state->launched.Add() = {
      .correlation = call.correlationId, .module = code.module, .symbol = code.symbol};
}

// Kinds that a driver or a copy of CUPTI may lack are left out with a note.
void EnableOptional(Session& session, CUpti_ActivityKind kind, const char* what) {
  const CUptiResult result = session.cupti.cuptiActivityEnable(kind);
  if (result == CUPTI_SUCCESS) return;
  session.file.Note(std::string(what) + " are not recorded: " + ResultText(session.cupti, result));
}

bool Start(Session& session) {
  const CuptiApi& cupti = session.cupti;
#define SEXTANT_NEEDED(name)                                        \
  if (cupti.name == nullptr) {                                      \
    session.file.Fail("CUPTI at " + cupti.path + " has no " #name); \
    return false;                                                   \
  }
  SEXTANT_CUPTI_ACTIVITY(SEXTANT_NEEDED)
#undef SEXTANT_NEEDED
  state = new State(session);
  const char* const fault = getenv("SEXTANT_INJECT_FAULT");
  state->crash = fault != nullptr && strcmp(fault, "activity") == 0;
  const Options& options = session.options;
  const bool light = options.On("activity.light", false);
  if (!session.Check(cupti.cuptiActivityRegisterTimestampCallback(Timestamp),
                     "cuptiActivityRegisterTimestampCallback") ||
      !session.Check(cupti.cuptiActivityRegisterCallbacks(OnBufferRequested, OnBufferCompleted),
                     "cuptiActivityRegisterCallbacks")) {
    return false;
  }
  cupti.cuptiSetThreadIdType(CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM);
  if (!session.Check(cupti.cuptiActivityEnable(CUPTI_ACTIVITY_KIND_DEVICE), "device records") ||
      !session.Check(cupti.cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL),
                     "kernel records")) {
    return false;
  }
  EnableOptional(session, CUPTI_ACTIVITY_KIND_CONTEXT, "contexts");
  if (!light) {
    EnableOptional(session, CUPTI_ACTIVITY_KIND_MEMCPY, "copies");
    EnableOptional(session, CUPTI_ACTIVITY_KIND_MEMCPY2, "copies between devices");
    EnableOptional(session, CUPTI_ACTIVITY_KIND_MEMSET, "memsets");
    EnableOptional(session, CUPTI_ACTIVITY_KIND_SYNCHRONIZATION, "synchronisations");
    if (options.On("activity.nvtx", true)) {
      EnableOptional(session, CUPTI_ACTIVITY_KIND_MARKER, "NVTX ranges");
    }
    if (options.On("activity.api", true)) {
      EnableOptional(session, CUPTI_ACTIVITY_KIND_RUNTIME, "calls of the runtime");
      EnableOptional(session, CUPTI_ACTIVITY_KIND_DRIVER, "calls of the driver");
      // Those that the runtime makes by the hundred, or for each launch, and that cost nothing.
      for (const CUpti_CallbackId id :
           {CUPTI_DRIVER_TRACE_CBID_cuDeviceGetAttribute, CUPTI_DRIVER_TRACE_CBID_cuKernelGetName,
            CUPTI_DRIVER_TRACE_CBID_cuGetProcAddress_v2}) {
        if (cupti.cuptiActivityEnableDriverApi != nullptr) {
          cupti.cuptiActivityEnableDriverApi(id, 0);
        }
      }
    }
  }
  for (const CUpti_CallbackId id :
       {CUPTI_CBID_SYNCHRONIZE_STREAM_SYNCHRONIZED, CUPTI_CBID_SYNCHRONIZE_CONTEXT_SYNCHRONIZED}) {
    if (!session.Enable(CUPTI_CB_DOMAIN_SYNCHRONIZE, id)) return false;
  }
  state->handed_over_ns = MonotonicNs();
  state->flusher.Start(options.Number("activity.flush_ms", kDefaultFlushMs), FlushAtTimes);
  return true;
}

void Stop(Session& session) {
  state->flusher.Stop();
  Flush();
  // What is still under way is taken as it is.
  session.cupti.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  WriteLaunched();
}

}  // namespace

const Instrument kActivity = {"activity", Start, Stop, OnCallback, true};

}  // namespace sextant::inject
