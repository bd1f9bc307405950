// Launches of kernels as the driver's API sees them, alone or in a graph.
#pragma once

#include <cupti.h>
#include <pthread.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "workers/inject/instruments.h"

namespace sextant::inject {

// A kernel that is launched. Names are mangled.
struct LaunchedKernel {
  std::string name;
  uint32_t grid[3] = {};
  uint32_t block[3] = {};
  uint32_t dynamic_shared_bytes = 0;
  CUfunction function = nullptr;  // or a CUkernel: what the call was given
};

// Whether a graph, or one in it, has kernels of which neither waits for the other.
bool HasKernelsSideBySide(CUgraph graph);

// The graph that a call makes ready to be launched; null: it is another call.
CUgraph InstantiatedGraph(CUpti_CallbackId id, const CUpti_CallbackData& data);

// One API call that launches.
struct LaunchCall {
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  bool graph = false;
  bool capturing = false;                // only recorded into a graph: nothing runs
  std::vector<LaunchedKernel> kernels;   // of a graph: in the order of its nodes' ids
};

// Recognises launches in the callbacks that Enable() asked for, and knows what graphs hold. One for
// an instrument; thread-safe.
class Launches {
 public:
  explicit Launches(const CuptiApi& cupti) : cupti_(cupti) {}

  bool Enable(Session& session);

  // Whether a callback of the driver's domain is a launch; takes note of graphs beside it.
  bool OnCallback(CUpti_CallbackId id, const CUpti_CallbackData& data, LaunchCall* call);

 private:
  void OnInstantiated(CUpti_CallbackId id, const CUpti_CallbackData& data);

  const CuptiApi& cupti_;
  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  std::unordered_map<CUgraphExec, std::vector<LaunchedKernel>> graphs_;  // guarded by lock_
};

// Calls CUDA or CUPTI from inside a callback: the callbacks that this causes are not the program's.
class Quiet {
 public:
  Quiet() : before_(inside_) { inside_ = true; }
  ~Quiet() { inside_ = before_; }
  Quiet(const Quiet&) = delete;
  static bool Now() { return inside_; }

 private:
  static thread_local bool inside_;
  const bool before_;
};

}  // namespace sextant::inject
