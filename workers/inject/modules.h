// The cubins that CUDA loads, and whose code a launched function is.
#pragma once

#include <cupti.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workers/inject/cupti_api.h"
#include "workers/inject/format.h"
#include "workers/inject/sha256.h"
#include "workers/inject/texts.h"

namespace sextant::inject {

// A loaded cubin, while the callback that told of it lasts.
struct LoadedModule {
  ModuleRecord record;
  struct Kernel {
    std::string_view name;  // mangled
    FunctionRecord record;  // `name` is not set: ids of names belong to a file
  };
  std::vector<Kernel> kernels;
  std::string_view cubin;
};

// Kernels of one name may have several codes: a tuner compiles one kernel many times. Only then
// must launches be told apart by their function's handle; else the name is enough and launches cost
// nothing. One for the process; thread-safe.
class Modules {
 public:
  explicit Modules(const CuptiApi& cupti) : cupti_(cupti) {}

  // The callbacks it lives from. False: CUPTI refused.
  bool Enable(CUpti_SubscriberHandle subscriber);

  // Every callback goes through here first. Where a module was loaded, fills `loaded` and returns
  // true.
  bool OnCallback(CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data,
                  LoadedModule* loaded);

  // Whether any name has more than one code by now.
  bool ambiguous() const { return ambiguous_.load(std::memory_order_acquire); }

  // The code behind a handle of cuModuleGetFunction; false where it is not known.
  bool FunctionOf(CUfunction function, FunctionRecord* record) const;

 private:
  bool Load(const CUpti_ResourceData& resource, LoadedModule* loaded);
  void OnDriverExit(CUpti_CallbackId id, const CUpti_CallbackData& call);

  const CuptiApi& cupti_;
  std::atomic<bool> ambiguous_{false};
  mutable pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock_:
  std::unordered_map<std::string, Sha256Digest> codes_;  // by name: of the module loaded last
  std::unordered_map<uint32_t, std::unordered_map<std::string, FunctionRecord>> functions_;
  std::unordered_map<CUmodule, uint32_t> modules_;
  std::unordered_map<CUfunction, FunctionRecord> handles_;
};

}  // namespace sextant::inject
