#include "workers/inject/launch_times.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "workers/inject/driver_api.h"
#include "workers/inject/profiler_session.h"
#include "workers/inject/record_file.h"
#include "workers/inject/texts.h"

namespace sextant::inject {
namespace {

constexpr size_t kDrainAt = 256;       // launches that wait before it is asked whether they ended
constexpr size_t kMaxWaiting = 16384;  // with events; those above are not timed
constexpr size_t kMaxDevices = 64;
constexpr uint32_t kLeastRegisters = 16;

bool CanTime() {
  const DriverApi& driver = Driver();
  return driver.cuEventCreate != nullptr && driver.cuEventRecord != nullptr &&
         driver.cuEventQuery != nullptr && driver.cuEventElapsedTime_v2 != nullptr &&
         driver.cuEventSynchronize != nullptr && driver.cuStreamCreate != nullptr &&
         driver.cuStreamDestroy_v2 != nullptr;
}

// 0 where the driver does not say; the cubin does then.
uint32_t Attribute(CUfunction function, CUfunction_attribute which) {
  const DriverApi& driver = Driver();
  int value = 0;
  if (function == nullptr || driver.cuFuncGetAttribute == nullptr) return 0;
  CUfunction of_kernel = nullptr;
  if (driver.cuFuncGetAttribute(&value, which, function) != CUDA_SUCCESS &&
      (driver.cuKernelGetFunction == nullptr ||
       driver.cuKernelGetFunction(&of_kernel, reinterpret_cast<CUkernel>(function)) != CUDA_SUCCESS ||
       driver.cuFuncGetAttribute(&value, which, of_kernel) != CUDA_SUCCESS)) {
    return 0;
  }
  return static_cast<uint32_t>(std::max(0, value));
}

}  // namespace

thread_local LaunchTimes::Launching* LaunchTimes::launching_ = nullptr;

void LaunchTimes::Describe(uint32_t device) {
  if (device >= kMaxDevices) return;
  if (described_.size() <= device) described_.resize(device + 1);
  if (described_[device]) return;
  described_[device] = true;
  const DriverApi& driver = Driver();
  if (driver.cuDeviceGetAttribute == nullptr) return;
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    return driver.cuDeviceGetAttribute(&value, which, static_cast<CUdevice>(device)) == CUDA_SUCCESS
               ? static_cast<uint32_t>(std::max(0, value))
               : 0u;
  };
  char name[256] = {};
  if (driver.cuDeviceGetName != nullptr) {
    driver.cuDeviceGetName(name, sizeof(name) - 1, static_cast<CUdevice>(device));
  }
  DeviceRecord record = {};
  CUuuid uuid = {};
  if (driver.cuDeviceGetUuid_v2 != nullptr &&
      driver.cuDeviceGetUuid_v2(&uuid, static_cast<CUdevice>(device)) == CUDA_SUCCESS) {
    memcpy(record.uuid, uuid.bytes, sizeof(record.uuid));
  }
  record.device = device;
  record.name = session_.texts.Id(name);
  record.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  record.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  record.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  record.warp_threads = attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE);
  record.max_warps = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR) /
                     std::max(1u, record.warp_threads);
  record.max_blocks = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
  record.max_registers = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  record.max_shared_bytes = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  record.max_block_registers = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
  record.max_block_shared_bytes = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
  record.max_block_threads = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  record.core_khz = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  session_.file.Append(kDevices, &record, sizeof(record));
}

// On a stream of its own: the program's may be anything.
LaunchTimes::Base& LaunchTimes::BaseOf(CUcontext context) {
  const auto [found, added] = bases_.try_emplace(context);
  Base& base = found->second;
  if (!added) return base;
  const DriverApi& driver = Driver();
  base.device = static_cast<uint32_t>(std::max(0, DeviceOf(context)));
  session_.cupti.cuptiGetContextId(context, &base.context);
  Describe(base.device);
  CUstream stream = nullptr;
  if (!CanTime() || driver.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) {
    return base;
  }
  CUevent event = nullptr;
  if (driver.cuEventCreate(&event, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
      driver.cuEventRecord(event, stream) == CUDA_SUCCESS &&
      driver.cuEventSynchronize(event) == CUDA_SUCCESS) {
    base.event = event;
    base.ns = MonotonicNs();
  }
  driver.cuStreamDestroy_v2(stream);
  return base;
}

CUevent LaunchTimes::Take(Base& base) {
  CUevent event = nullptr;
  if (!base.free.empty()) {
    event = base.free.back();
    base.free.pop_back();
    return event;
  }
  return Driver().cuEventCreate(&event, CU_EVENT_DEFAULT) == CUDA_SUCCESS ? event : nullptr;
}

void LaunchTimes::Begin(const LaunchCall& call, uint32_t correlation) {
  if (call.capturing || call.kernels.empty()) return;
  if (launching_ == nullptr) launching_ = new Launching;
  launching_->stream = call.stream;
  std::vector<Timed>& kernels = launching_->kernels;
  kernels.clear();
  const Quiet quiet;
  const CurrentContext current(call.context);
  const Locked locked(lock_);
  Base& base = BaseOf(call.context);
  uint32_t stream = 0;
  session_.cupti.cuptiGetStreamIdEx(call.context, call.stream, 0, &stream);
  for (size_t i = 0; i < call.kernels.size(); ++i) {
    const LaunchedKernel& kernel = call.kernels[i];
    Timed& timed = kernels.emplace_back();
    timed.context = call.context;
    KernelRecord& record = timed.record;
    record.graph_node = call.graph ? i + 1 : 0;
    record.name = session_.texts.Id(kernel.name);
    record.device = base.device;
    record.context = base.context;
    record.stream = stream;
    record.graph = call.graph ? 1 : 0;
    record.correlation = correlation;
    std::copy_n(kernel.grid, 3, record.grid);
    std::copy_n(kernel.block, 3, record.block);
    record.dynamic_shared_bytes = kernel.dynamic_shared_bytes;
    const uint32_t registers = Attribute(kernel.function, CU_FUNC_ATTRIBUTE_NUM_REGS);
    // As CUPTI's records have it: 16 where the code has fewer.
    record.registers = static_cast<uint16_t>(registers == 0 ? 0 : std::max(kLeastRegisters, registers));
    record.static_shared_bytes = Attribute(kernel.function, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
    record.local_bytes = Attribute(kernel.function, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
  }
  if (call.graph || base.event == nullptr || waiting_.size() >= kMaxWaiting) return;
  Timed& timed = kernels.front();
  timed.begin = Take(base);
  timed.end = Take(base);
  if (timed.begin == nullptr || timed.end == nullptr ||
      Driver().cuEventRecord(timed.begin, call.stream) != CUDA_SUCCESS) {
    for (CUevent event : {timed.begin, timed.end}) {
      if (event != nullptr) base.free.push_back(event);
    }
    timed.begin = timed.end = nullptr;
  }
}

void LaunchTimes::End(bool accepted) {
  if (launching_ == nullptr || launching_->kernels.empty()) return;
  std::vector<Timed>& kernels = launching_->kernels;
  const Quiet quiet;
  const CurrentContext current(kernels.front().context);
  const Locked locked(lock_);
  Base& base = BaseOf(kernels.front().context);
  for (Timed& timed : kernels) {
    const bool ends = timed.end != nullptr && accepted &&
                      Driver().cuEventRecord(timed.end, launching_->stream) == CUDA_SUCCESS;
    if (timed.begin != nullptr && !ends) {
      base.free.insert(base.free.end(), {timed.begin, timed.end});
      timed.begin = timed.end = nullptr;
    }
    if (accepted) waiting_.push_back(timed);
  }
  kernels.clear();
  if (waiting_.size() < kDrainAt) return;
  while (!waiting_.empty() && Write(waiting_.front(), false)) waiting_.pop_front();
}

bool LaunchTimes::Write(Timed& timed, bool last) {
  const DriverApi& driver = Driver();
  Base& base = bases_[timed.context];
  if (timed.end != nullptr) {
    const CUresult ended = driver.cuEventQuery(timed.end);
    if (ended == CUDA_ERROR_NOT_READY && !last) return false;
    float since_ms = 0, took_ms = 0;
    if (ended == CUDA_SUCCESS &&
        driver.cuEventElapsedTime_v2(&since_ms, base.event, timed.begin) == CUDA_SUCCESS &&
        driver.cuEventElapsedTime_v2(&took_ms, timed.begin, timed.end) == CUDA_SUCCESS) {
      timed.record.start_ns = base.ns + static_cast<uint64_t>(std::max(0.0, since_ms * 1e6));
      timed.record.end_ns = timed.record.start_ns + static_cast<uint64_t>(took_ms * 1e6);
    }
    base.free.insert(base.free.end(), {timed.begin, timed.end});
  }
  session_.file.Append(kKernels, &timed.record, sizeof(timed.record));
  return true;
}

void LaunchTimes::Drain(CUcontext context, bool last) {
  const Quiet quiet;
  const CurrentContext current(context);
  const Locked locked(lock_);
  std::deque<Timed> others;
  while (!waiting_.empty()) {
    Timed timed = std::move(waiting_.front());
    waiting_.pop_front();
    if (timed.context != context || !Write(timed, last)) others.push_back(timed);
  }
  waiting_ = std::move(others);
  if (last) bases_.erase(context);  // its events end with it
}

}  // namespace sextant::inject
