// Which hardware passes a set of metrics needs on a chip, and what its counters then mean: CUPTI's
// Profiler Host API. It needs no GPU, so the worker plans with it too.
#pragma once

#include <cupti_profiler_host.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workers/inject/cupti_api.h"
#include "workers/inject/profiler_format.h"

namespace sextant::inject {

// Why something was not possible, as ProblemRecord says it.
struct Problem {
  ProfilerProblem kind = kOtherProblem;
  CUptiResult result = CUPTI_SUCCESS;
  std::string sentence;
};

// What a failed call of the profiling APIs means, and what to do about it. `what` names the call.
Problem ExplainResult(const CuptiApi& api, CUptiResult result, std::string_view what);

// CUPTI opens two libraries by their names. Where they lie only beside it, as in Python packages, they
// are loaded from there first, so that they are of its version.
void LoadBesideCupti(const CuptiApi& api);

// Whether the copy of CUPTI has the host API; `problem` says which part is missing.
bool HasMetricPlan(const CuptiApi& api, Problem* problem);

// A chip's metrics scheduled into hardware passes. Owns CUPTI's host object. Not copyable; one
// thread at a time.
class MetricPlan {
 public:
  explicit MetricPlan(const CuptiApi& api) : api_(api) {}
  ~MetricPlan();
  MetricPlan(const MetricPlan&) = delete;

  // `availability`: the device's counter availability image; empty: all that the chip has.
  // False with `problem`: an unknown metric is named, with the nearest names there are.
  bool Make(CUpti_ProfilerType type, const std::string& chip,
            const std::vector<uint8_t>& availability, const std::vector<std::string>& metrics,
            Problem* problem);

  const std::vector<std::string>& metrics() const { return metrics_; }
  const std::vector<const char*>& names() const { return names_; }
  const std::vector<std::string>& units() const { return units_; }  // of the base metrics
  const std::vector<uint8_t>& config() const { return config_; }
  size_t passes() const { return passes_; }

  // The values of range or sample `index` of a counter data image, one for each metric.
  CUptiResult Evaluate(const std::vector<uint8_t>& image, size_t index, double* values) const;

 private:
  bool Check(const std::string& metric, Problem* problem);
  std::vector<std::string> Nearest(std::string_view metric) const;

  const CuptiApi& api_;
  CUpti_Profiler_Host_Object* host_ = nullptr;
  std::vector<std::string> metrics_;
  std::vector<const char*> names_;
  std::vector<std::string> units_;
  std::vector<uint8_t> config_;
  size_t passes_ = 0;
};

// Splits metrics so that each group fits into one hardware pass, first fit in the order given: the
// same on every machine. False: a metric alone needs several, or none fits.
bool SplitIntoPasses(const CuptiApi& api, CUpti_ProfilerType type, const std::string& chip,
                     const std::vector<uint8_t>& availability,
                     const std::vector<std::string>& metrics,
                     std::vector<std::vector<std::string>>* groups, Problem* problem);

// How unlike two names are, parts between '_' and '.' counting as wholes.
int NameDistance(std::string_view a, std::string_view b);

}  // namespace sextant::inject
