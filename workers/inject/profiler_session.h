// What the instruments on CUPTI's profiling APIs have in common.
#pragma once

#include <cupti.h>

#include <string>
#include <string_view>
#include <vector>

#include "workers/inject/instruments.h"
#include "workers/inject/metric_plan.h"
#include "workers/inject/texts.h"

namespace sextant::inject {

// Ends the instrument: a problem frame of `range` for the backend, and the file fails with the
// sentence.
void Report(Session& session, uint32_t range, const Problem& problem);
void Report(Session& session, uint32_t range, CUptiResult result, std::string_view what);

// The chip of a device, "GH100"; initialises the profiling API. Empty after Report(…).
std::string ChipOf(Session& session, uint32_t range, uint32_t device);

// "a+b+c" → its parts, empty ones left out.
std::vector<std::string> SplitNames(std::string_view joined);

// Writes the metric frames of a plan.
void WriteMetrics(Session& session, uint32_t range, const MetricPlan& plan);

// Makes a context current on this thread while it lives.
class CurrentContext {
 public:
  explicit CurrentContext(CUcontext context);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  bool ok() const { return ok_; }

 private:
  bool ok_ = false;
  bool pushed_ = false;
};

// The device that a context is on, −1 where it cannot be told.
int DeviceOf(CUcontext context);

// Waits for what runs in a context, but not for a kernel that never ends. False: it still runs.
bool SynchronizeWithin(CUcontext context, uint64_t ms);

}  // namespace sextant::inject
