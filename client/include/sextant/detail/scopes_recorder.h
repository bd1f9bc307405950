// The host side of scope.cuh: gives kernels their rings, and writes the file.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "sextant/detail/scopes_context.cuh"
#include "sextant/detail/scopes_file.h"
#include "sextant/detail/scopes_options.h"

namespace sextant {
namespace detail {

// Answers, for each number that the host writes into [0], with %globaltimer in [1] and the number in
// [2]; gives up when the host has not asked for a long time.
inline constexpr int kClockReadings = 24;
__global__ static void sextant_read_clock(volatile unsigned long long* exchange) {
  for (unsigned long long asked = 1; asked <= kClockReadings; ++asked) {
    for (int patience = 0; exchange[0] < asked; ++patience) {
      if (patience > 1 << 20) return;
    }
    exchange[1] = Timer();
    __threadfence_system();
    exchange[2] = asked;
  }
}

// One translation unit with kernels.
struct ScopesModule {
  const void* config;  // the host's shadow of sextant_scopes_config
  void (*read_clock)(volatile unsigned long long*, cudaStream_t);
};

class ScopesDevice;

// What the process has: its modules, and a recording for each device. Guarded by `lock`.
struct ScopesProcess {
  std::mutex lock;
  std::vector<ScopesModule> modules;
  std::vector<ScopesDevice*> devices;
  bool at_exit = false;
};
inline ScopesProcess& Process() {
  static ScopesProcess* const process = new ScopesProcess;  // outlives what runs at exit
  return *process;
}

// The recording on one device: rings, the constants that lead kernels to them, and the file. Used by
// one thread at a time, under the process's lock.
class ScopesDevice {
 public:
  explicit ScopesDevice(const ScopesOptions& options) : options_(options) {}

  // True when kernels record from now on. Otherwise stderr says why not.
  bool Start() {
    if (!file_.Create(options_)) return false;
    pid_ = getpid();
    // The first call that needs a device, and the one that says why there is none.
    const cudaError_t no_device = cudaFree(nullptr);
    if (no_device != cudaSuccess) return Refuse(cudaGetErrorString(no_device));
    cudaGetDevice(&device_);
    sextant_scopes_file& header = file_.header();
    Describe(&header);
    const char* const error = Allocate();
    if (error != nullptr) return Refuse(error);
    for (const ScopesModule& module : Process().modules) Attach(module);
    if (modules_ == 0) return Refuse("no translation unit with kernels includes scope.cuh");
    header.modules = modules_;
    ReadClock(&header.first);
    file_.Publish();
    if (options_.in_host_memory) file_.StartDraining(host_);
    return true;
  }

  // A module that was loaded after the recording began.
  void Attach(const ScopesModule& module) {
    int current = device_;
    cudaGetDevice(&current);
    if (current != device_) cudaSetDevice(device_);
    void* anchor = nullptr;
    if (cudaMemcpyToSymbol(module.config, &config_, sizeof(config_)) == cudaSuccess &&
        cudaGetSymbolAddress(&anchor, module.config) == cudaSuccess) {
      ++modules_;
      file_.AddNames(ModuleNames(anchor));
      if (read_clock_ == nullptr) read_clock_ = module.read_clock;
    } else {
      cudaGetLastError();  // no code for this device: its kernels cannot run either
    }
    if (current != device_) cudaSetDevice(current);
  }

  // The constant of a module that the program loaded itself. False, with the reason on stderr: its
  // kernels are not recorded.
  bool AttachLoaded(CUdeviceptr config, size_t bytes) {
    void* const at = reinterpret_cast<void*>(config);
    if (bytes != sizeof(config_) ||
        cudaMemcpy(at, &config_, sizeof(config_), cudaMemcpyHostToDevice) != cudaSuccess) {
      cudaGetLastError();
      std::fprintf(stderr, "sextant: a module is not recorded: its scope.cuh is another version\n");
      return false;
    }
    loaded_.push_back(at);
    file_.header().modules = ++modules_;
    file_.AddNames(ModuleNames(at));
    return true;
  }
  // Before such a module is unloaded.
  void DetachLoaded(CUdeviceptr config) {
    void* const at = reinterpret_cast<void*>(config);
    if (std::find(loaded_.begin(), loaded_.end(), at) == loaded_.end()) return;
    loaded_.erase(std::remove(loaded_.begin(), loaded_.end(), at), loaded_.end());
    Clear(at);
  }

  // Waits for the device, writes the file, and lets kernels be.
  void Finish() {
    if (finished_ || getpid() != pid_) return;  // a fork has no device
    finished_ = true;
    int current = device_;
    cudaGetDevice(&current);
    if (current != device_) cudaSetDevice(device_);
    cudaError_t error = cudaDeviceSynchronize();
    file_.StopDraining();
    sextant_scopes_file& header = file_.header();
    if (error == cudaSuccess) {
      ReadClock(&header.last);
      const ScopesConfig nothing = {};
      for (const ScopesModule& module : Process().modules) {
        if (cudaMemcpyToSymbol(module.config, &nothing, sizeof(nothing)) != cudaSuccess) {
          cudaGetLastError();
        }
      }
      for (void* config : loaded_) Clear(config);
      if (!options_.in_host_memory) error = Fetch();
    }
    if (error != cudaSuccess) file_.SetError(cudaGetErrorString(error));
    header.ended = 1;
    if (error == cudaSuccess) Free();
    if (current != device_) cudaSetDevice(current);
  }

  int device() const { return device_; }

 private:
  bool Refuse(const char* why) {
    cudaGetLastError();
    std::fprintf(stderr, "sextant: kernels are not recorded: %s\n", why);
    file_.SetError(why);
    file_.header().ended = 1;
    file_.Publish();
    Free();
    return false;
  }

  static void Clear(void* config) {
    if (cudaMemset(config, 0, sizeof(ScopesConfig)) != cudaSuccess) cudaGetLastError();
  }

  void Describe(sextant_scopes_file* header) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device_) == cudaSuccess) {
      std::memcpy(header->device_name, properties.name, sizeof(header->device_name) - 1);
      std::memcpy(header->uuid, &properties.uuid, sizeof(header->uuid));
      header->sms = static_cast<uint32_t>(properties.multiProcessorCount);
      header->capability = static_cast<uint32_t>(properties.major * 10 + properties.minor);
    }
    int khz = 0;
    if (cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, device_) == cudaSuccess) {
      header->clock_khz = static_cast<uint32_t>(khz);
    }
    header->device = static_cast<uint32_t>(device_);
  }

  // The rings and all that leads to them; what went wrong, or null.
  const char* Allocate() {
    const size_t ring = size_t{8} * options_.ring_records;
    const size_t each = ring + sizeof(sextant_scopes_slot);
    const size_t slots = std::min<size_t>(options_.arena_bytes / each, SEXTANT_SCOPES_MAX_SLOTS);
    if (slots == 0) return "arena_mb is too small for one ring";
    // Control, slots, and rings that are aligned to their size.
    const size_t slots_at = 4096;
    const size_t rings_at = slots_at + slots * sizeof(sextant_scopes_slot);
    const size_t bytes = rings_at + (slots + 1) * ring;
    cudaError_t error;
    void* base = nullptr;
    if (options_.in_host_memory) {
      error = cudaHostAlloc(&host_memory_, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
      if (error == cudaSuccess) std::memset(host_memory_, 0, bytes);
      if (error == cudaSuccess) error = cudaHostGetDevicePointer(&base, host_memory_, 0);
    } else {
      error = cudaMalloc(&device_memory_, bytes);
      if (error == cudaSuccess) error = cudaMemset(device_memory_, 0, bytes);
      base = device_memory_;
    }
    if (error != cudaSuccess) return cudaGetErrorString(error);
    const uint64_t address = reinterpret_cast<uint64_t>(base);
    const uint64_t rings = (address + rings_at + ring - 1) / ring * ring;
    ScopesControl control = {};
    control.mask = static_cast<uint32_t>(ring - 8);
    control.enabled = options_.enabled;
    error = cudaMemcpy(base, &control, sizeof(control), cudaMemcpyDefault);
    if (error != cudaSuccess) return cudaGetErrorString(error);
    config_.control = static_cast<ScopesControl*>(base);
    config_.slots = reinterpret_cast<sextant_scopes_slot*>(address + slots_at);
    config_.rings = reinterpret_cast<unsigned char*>(rings);
    config_.slot_count = static_cast<uint32_t>(slots);
    config_.cta_period = options_.cta_period;
    config_.shared = SEXTANT_SHARED_RECORDS == 0 || !options_.shared ? 0 : options_.flush ? 2 : 1;
    sextant_scopes_file& header = file_.header();
    header.slots = config_.slot_count;
    header.shared = config_.shared != 0;
    if (options_.shared && config_.shared == 0) {
      std::fprintf(stderr, "sextant: buffer=shared needs -DSEXTANT_SHARED_RECORDS=N; rings are in "
                           "global memory\n");
    }
    if (options_.in_host_memory) {
      auto* const bytes_of = static_cast<unsigned char*>(host_memory_);
      host_.claimed = reinterpret_cast<const volatile uint64_t*>(bytes_of);
      host_.slots = reinterpret_cast<const sextant_scopes_slot*>(bytes_of + slots_at);
      host_.rings = bytes_of + (rings - address);
    }
    return nullptr;
  }

  void Free() {
    if (device_memory_ != nullptr) cudaFree(device_memory_);
    if (host_memory_ != nullptr) cudaFreeHost(host_memory_);
    device_memory_ = nullptr;
    host_memory_ = nullptr;
  }

  // Copies what was recorded to the file.
  cudaError_t Fetch() {
    ScopesControl control = {};
    cudaError_t error = cudaMemcpy(&control, config_.control, sizeof(control), cudaMemcpyDefault);
    if (error != cudaSuccess) return error;
    file_.header().claimed = control.claimed;
    const size_t count = std::min<uint64_t>(control.claimed, config_.slot_count);
    std::vector<sextant_scopes_slot> slots(count);
    error = cudaMemcpy(slots.data(), config_.slots, count * sizeof(slots[0]), cudaMemcpyDefault);
    if (error != cudaSuccess) return error;
    file_.BeginPacked(slots);
    const size_t ring = size_t{8} * options_.ring_records;
    const size_t at_once = std::max<size_t>(1, (size_t{16} << 20) / ring);
    std::vector<unsigned char> rings(std::min(at_once, std::max<size_t>(count, 1)) * ring);
    for (size_t slot = 0; slot < count; slot += at_once) {
      const size_t some = std::min(at_once, count - slot);
      error = cudaMemcpy(rings.data(), config_.rings + slot * ring, some * ring, cudaMemcpyDefault);
      if (error != cudaSuccess) return error;
      for (size_t i = 0; i < some; ++i) file_.AddPacked(slots[slot + i], rings.data() + i * ring);
    }
    file_.EndPacked();
    return cudaSuccess;
  }

  // Takes %globaltimer and CLOCK_MONOTONIC together: the closest of a few exchanges with a kernel.
  void ReadClock(sextant_scopes_clock* clock) {
    void* memory = nullptr;
    cudaStream_t stream = nullptr;
    if (read_clock_ == nullptr ||
        cudaHostAlloc(&memory, 64, cudaHostAllocMapped) != cudaSuccess) {
      cudaGetLastError();
      return;
    }
    std::memset(memory, 0, 64);
    auto* const exchange = static_cast<volatile unsigned long long*>(memory);
    if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess) {
      read_clock_(exchange, stream);
      uint64_t best = UINT64_MAX;
      const uint64_t give_up = MonotonicNs() + 2000000000ull;
      for (int asked = 1; asked <= kClockReadings; ++asked) {
        const uint64_t before = MonotonicNs();
        exchange[0] = static_cast<unsigned long long>(asked);
        uint64_t after = before;
        while (exchange[2] < static_cast<unsigned long long>(asked) && after < give_up) {
          after = MonotonicNs();
        }
        if (after >= give_up) break;
        after = MonotonicNs();
        if (after - before >= best) continue;
        best = after - before;
        *clock = {exchange[1], before + best / 2, best / 2 + 1};
      }
      exchange[0] = kClockReadings;
      cudaStreamSynchronize(stream);
      cudaStreamDestroy(stream);
    }
    cudaGetLastError();
    cudaFreeHost(memory);
  }

  const ScopesOptions options_;
  ScopesFile file_;
  HostRings host_;
  ScopesConfig config_ = {};
  void* device_memory_ = nullptr;
  void* host_memory_ = nullptr;
  void (*read_clock_)(volatile unsigned long long*, cudaStream_t) = nullptr;
  std::vector<void*> loaded_;  // constants of modules that the program loaded
  uint32_t modules_ = 0;
  int device_ = 0;
  pid_t pid_ = 0;
  bool finished_ = false;
};

inline void FinishAllScopes() {
  const std::lock_guard<std::mutex> guard(Process().lock);
  for (ScopesDevice* device : Process().devices) device->Finish();
}

// Static objects of each translation unit say that it has kernels.
class ScopesRegistration {
 public:
  ScopesRegistration(const void* config,
                     void (*read_clock)(volatile unsigned long long*, cudaStream_t)) {
    const std::lock_guard<std::mutex> guard(Process().lock);
    Process().modules.push_back({config, read_clock});
    for (ScopesDevice* device : Process().devices) device->Attach(Process().modules.back());
  }
};

}  // namespace detail

// Records the kernels on the device that is current when it is made, until it ends or the program
// exits; does nothing unless SEXTANT_SCOPES is set. Make one for each device, after cudaSetDevice and
// before the first kernel that matters. Its end waits for the device.
class Recorder {
 public:
  Recorder() {
    detail::ScopesOptions options;
    if (!options.FromEnvironment()) return;
    const std::lock_guard<std::mutex> guard(detail::Process().lock);
    device_ = std::make_unique<detail::ScopesDevice>(options);
    if (!device_->Start()) {
      device_.reset();
      return;
    }
    detail::Process().devices.push_back(device_.get());
    if (!detail::Process().at_exit) {
      detail::Process().at_exit = std::atexit(detail::FinishAllScopes) == 0;
    }
  }
  ~Recorder() { Finish(); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  bool recording() const { return device_ != nullptr; }

  // Kernels of a module that the program loaded itself, compiled with -DSEXTANT_MODULE, are recorded
  // from now on. It stays loaded until the Recorder ends, or until Remove(). False: they are not;
  // stderr says why, unless nothing is recorded at all. With the context of the module current.
  bool Add(CUmodule module) { return AddConfig("cuModuleGetGlobal", module); }
  bool Add(CUlibrary library) { return AddConfig("cuLibraryGetGlobal", library); }
  void Remove(CUmodule module) { RemoveConfig("cuModuleGetGlobal", module); }
  void Remove(CUlibrary library) { RemoveConfig("cuLibraryGetGlobal", library); }

  // Waits for the device and writes the file; kernels launched later are not recorded.
  void Finish() {
    if (device_ == nullptr) return;
    const std::lock_guard<std::mutex> guard(detail::Process().lock);
    auto& devices = detail::Process().devices;
    devices.erase(std::remove(devices.begin(), devices.end(), device_.get()), devices.end());
    device_->Finish();
    device_.reset();
  }

 private:
  // Where a module has its constant; false: it has none.
  template <typename Module>
  static bool FindConfig(const char* getter, Module module, CUdeviceptr* config, size_t* bytes) {
    using Get = CUresult(CUDAAPI*)(CUdeviceptr*, size_t*, Module, const char*);
    const auto get = reinterpret_cast<Get>(detail::DriverEntry(getter));
    return get != nullptr && get(config, bytes, module, "sextant_scopes_config") == CUDA_SUCCESS;
  }
  template <typename Module>
  bool AddConfig(const char* getter, Module module) {
    if (device_ == nullptr) return false;
    const std::lock_guard<std::mutex> guard(detail::Process().lock);
    CUdeviceptr config = 0;
    size_t bytes = 0;
    if (FindConfig(getter, module, &config, &bytes)) return device_->AttachLoaded(config, bytes);
    std::fprintf(stderr, "sextant: a module is not recorded: it has no sextant_scopes_config; compile "
                         "its kernels with scope.cuh and -DSEXTANT_MODULE\n");
    return false;
  }
  template <typename Module>
  void RemoveConfig(const char* getter, Module module) {
    if (device_ == nullptr) return;
    const std::lock_guard<std::mutex> guard(detail::Process().lock);
    CUdeviceptr config = 0;
    size_t bytes = 0;
    if (FindConfig(getter, module, &config, &bytes)) device_->DetachLoaded(config);
  }

  std::unique_ptr<detail::ScopesDevice> device_;
};

}  // namespace sextant

namespace {
const ::sextant::detail::ScopesRegistration sextant_scopes_registration(
    static_cast<const void*>(&sextant_scopes_config),
    [](volatile unsigned long long* exchange, cudaStream_t stream) {
      ::sextant::detail::sextant_read_clock<<<1, 1, 0, stream>>>(exchange);
    });
}  // namespace
