#include "workers/inject/metric_plan.h"

#include <dlfcn.h>

#include <algorithm>
#include <utility>

namespace sextant::inject {
namespace {

constexpr size_t kNearNames = 3;

// "sm__cycles_active" of "sm__cycles_active.avg.per_second".
std::string_view BaseOf(std::string_view metric) {
  // Names of counter groups have dots of their own, before the unit's "__".
  const size_t unit = metric.find("__");
  const size_t dot = metric.find('.', unit == std::string_view::npos ? 0 : unit);
  return metric.substr(0, dot);
}

std::vector<std::string_view> Parts(std::string_view name) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t at = 0; at <= name.size(); ++at) {
    if (at < name.size() && name[at] != '_' && name[at] != '.') continue;
    if (at > begin) parts.push_back(name.substr(begin, at - begin));
    begin = at + 1;
  }
  return parts;
}

// Levenshtein's distance of two sequences.
template <typename Sequence, typename Cost>
int Distance(const Sequence& a, const Sequence& b, Cost&& cost, int gap) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j) * gap;
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] += gap;
    for (size_t j = 0; j < b.size(); ++j) {
      const int above = row[j + 1];
      row[j + 1] = std::min({above + gap, row[j] + gap, diagonal + cost(a[i], b[j])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

int NameDistance(std::string_view a, std::string_view b) {
  constexpr int kPart = 4;  // a whole part too many or too few
  const auto part_cost = [](std::string_view x, std::string_view y) {
    if (x == y) return 0;
    return std::min(
        kPart + 1,
        Distance(x, y, [](char p, char q) { return p == q ? 0 : 1; }, 1));
  };
  return Distance(Parts(a), Parts(b), part_cost, kPart);
}

Problem ExplainResult(const CuptiApi& api, CUptiResult result, std::string_view what) {
  Problem problem;
  problem.result = result;
  const std::string text = std::string(what) + ": " + ResultText(api, result);
  switch (result) {
    case CUPTI_ERROR_INSUFFICIENT_PRIVILEGES:
      problem.kind = kNoPermission;
      problem.sentence =
          text +
          "; this machine keeps GPU performance counters for administrators "
          "(ERR_NVGPUCTRPERM). Remedy: load the nvidia module with "
          "NVreg_RestrictProfilingToAdminUsers=0";
      break;
    case CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES:
      problem.kind = kNoPermission;
      problem.sentence =
          text + "; the hypervisor keeps GPU performance counters from this virtual GPU. Remedy: "
                 "enable profiling for the vGPU on its host";
      break;
    case CUPTI_ERROR_HARDWARE_BUSY:
      problem.kind = kBusy;
      problem.sentence = text + "; another profiler (Nsight, DCGM, a second profiled process) holds "
                                "the GPU's counters. Remedy: stop it, or pause DCGM's profiling";
      break;
    case CUPTI_ERROR_NOT_SUPPORTED:
    case CUPTI_ERROR_NOT_COMPATIBLE:
    case CUPTI_ERROR_VIRTUALIZED_DEVICE_NOT_SUPPORTED:
    case CUPTI_ERROR_CONFIDENTIAL_COMPUTING_NOT_SUPPORTED:
    case CUPTI_ERROR_CMP_DEVICE_NOT_SUPPORTED:
    case CUPTI_ERROR_MIG_DEVICE_NOT_SUPPORTED:
    case CUPTI_ERROR_SLI_DEVICE_NOT_SUPPORTED:
    case CUPTI_ERROR_WSL_DEVICE_NOT_SUPPORTED:
    case CUPTI_ERROR_LEGACY_PROFILER_NOT_SUPPORTED:
    case CUPTI_ERROR_OLD_PROFILER_API_INITIALIZED:
      problem.kind = kNotSupported;
      problem.sentence = text;
      break;
    case CUPTI_ERROR_INVALID_CHIP_NAME:
      problem.kind = kNotSupported;
      problem.sentence = text + "; CUPTI at " + api.path + " does not know this chip";
      break;
    default:
      problem.sentence = text;
  }
  return problem;
}

void LoadBesideCupti(const CuptiApi& api) {
  const size_t slash = api.path.rfind('/');
  if (slash == std::string::npos) return;
  for (const char* name : {"libnvperf_host.so", "libnvperf_target.so"}) {
    if (dlopen(name, RTLD_NOW | RTLD_NOLOAD) != nullptr) continue;
    dlopen((api.path.substr(0, slash + 1) + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
}

bool HasMetricPlan(const CuptiApi& api, Problem* problem) {
  LoadBesideCupti(api);
  if (api.cuptiProfilerHostInitialize != nullptr &&
      api.cuptiProfilerHostGetMetricProperties != nullptr &&
      api.cuptiProfilerHostGetNumOfPasses != nullptr) {
    return true;
  }
  problem->kind = kNotSupported;
  problem->sentence = "CUPTI at " + api.path + " has no Profiler Host API: it is older than CUDA 12.6";
  return false;
}

MetricPlan::~MetricPlan() {
  if (host_ == nullptr) return;
  CUpti_Profiler_Host_Deinitialize_Params params = {
      CUpti_Profiler_Host_Deinitialize_Params_STRUCT_SIZE};
  params.pHostObject = host_;
  api_.cuptiProfilerHostDeinitialize(&params);
}

std::vector<std::string> MetricPlan::Nearest(std::string_view metric) const {
  const std::string_view base = BaseOf(metric);
  std::vector<std::pair<int, std::string>> near;
  for (int type = 0; type < CUPTI_METRIC_TYPE__COUNT; ++type) {
    CUpti_Profiler_Host_GetBaseMetrics_Params params = {
        CUpti_Profiler_Host_GetBaseMetrics_Params_STRUCT_SIZE};
    params.pHostObject = host_;
    params.metricType = static_cast<CUpti_MetricType>(type);
    if (api_.cuptiProfilerHostGetBaseMetrics(&params) != CUPTI_SUCCESS) continue;
    for (size_t i = 0; i < params.numMetrics; ++i) {
      near.emplace_back(NameDistance(base, params.ppMetricNames[i]), params.ppMetricNames[i]);
    }
  }
  const size_t count = std::min(kNearNames, near.size());
  std::partial_sort(near.begin(), near.begin() + count, near.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(std::move(near[i].second));
  return names;
}

bool MetricPlan::Check(const std::string& metric, Problem* problem) {
  CUpti_Profiler_Host_GetMetricProperties_Params properties = {
      CUpti_Profiler_Host_GetMetricProperties_Params_STRUCT_SIZE};
  properties.pHostObject = host_;
  properties.pMetricName = metric.c_str();
  const CUptiResult result = api_.cuptiProfilerHostGetMetricProperties(&properties);
  if (result != CUPTI_SUCCESS) {
    problem->kind = kUnknownMetric;
    problem->result = result;
    problem->sentence = "the chip has no metric \"" + metric + "\"";
    const std::vector<std::string> near = Nearest(metric);
    for (size_t i = 0; i < near.size(); ++i) {
      problem->sentence += (i == 0 ? "; near it: " : ", ") + near[i];
    }
    return false;
  }
  units_.emplace_back(properties.pDimUnit != nullptr ? properties.pDimUnit : "");
  // A base alone is no value: it needs a rollup (.sum) or a submetric (.ratio).
  if (BaseOf(metric) == metric) {
    problem->kind = kUnknownMetric;
    problem->result = CUPTI_SUCCESS;
    problem->sentence = "\"" + metric + "\" does not say which value of the metric is meant; write " +
                        (properties.metricType == CUPTI_METRIC_TYPE_COUNTER
                             ? "\"" + metric + ".sum\", \".avg\", \".max\" or \".min\""
                         : properties.metricType == CUPTI_METRIC_TYPE_RATIO
                             ? "\"" + metric + ".ratio\" or \".pct\""
                             : "\"" + metric + ".avg.pct_of_peak_sustained_elapsed\"");
    return false;
  }
  return true;
}

bool MetricPlan::Make(CUpti_ProfilerType type, const std::string& chip,
                      const std::vector<uint8_t>& availability,
                      const std::vector<std::string>& metrics, Problem* problem) {
  if (!HasMetricPlan(api_, problem)) return false;
  CUpti_Profiler_Host_Initialize_Params init = {CUpti_Profiler_Host_Initialize_Params_STRUCT_SIZE};
  init.profilerType = type;
  init.pChipName = chip.c_str();
  init.pCounterAvailabilityImage = availability.empty() ? nullptr : availability.data();
  CUptiResult result = api_.cuptiProfilerHostInitialize(&init);
  if (result != CUPTI_SUCCESS) {
    *problem = ExplainResult(api_, result, "metrics of chip " + chip);
    return false;
  }
  host_ = init.pHostObject;
  metrics_ = metrics;
  for (const std::string& metric : metrics_) {
    if (!Check(metric, problem)) return false;
    names_.push_back(metric.c_str());
  }

  CUpti_Profiler_Host_ConfigAddMetrics_Params add = {
      CUpti_Profiler_Host_ConfigAddMetrics_Params_STRUCT_SIZE};
  add.pHostObject = host_;
  add.ppMetricNames = names_.data();
  add.numMetrics = names_.size();
  result = api_.cuptiProfilerHostConfigAddMetrics(&add);
  CUpti_Profiler_Host_GetConfigImageSize_Params size = {
      CUpti_Profiler_Host_GetConfigImageSize_Params_STRUCT_SIZE};
  size.pHostObject = host_;
  if (result == CUPTI_SUCCESS) result = api_.cuptiProfilerHostGetConfigImageSize(&size);
  if (result == CUPTI_SUCCESS) {
    config_.resize(size.configImageSize);
    CUpti_Profiler_Host_GetConfigImage_Params image = {
        CUpti_Profiler_Host_GetConfigImage_Params_STRUCT_SIZE};
    image.pHostObject = host_;
    image.configImageSize = config_.size();
    image.pConfigImage = config_.data();
    result = api_.cuptiProfilerHostGetConfigImage(&image);
  }
  if (result == CUPTI_SUCCESS) {
    CUpti_Profiler_Host_GetNumOfPasses_Params passes = {
        CUpti_Profiler_Host_GetNumOfPasses_Params_STRUCT_SIZE};
    passes.configImageSize = config_.size();
    passes.pConfigImage = config_.data();
    result = api_.cuptiProfilerHostGetNumOfPasses(&passes);
    passes_ = passes.numOfPasses;
  }
  if (result != CUPTI_SUCCESS) {
    std::string names;
    for (const std::string& metric : metrics_) names += (names.empty() ? "" : ", ") + metric;
    *problem = ExplainResult(api_, result, "scheduling " + names);
    // The names are right, so the values that were asked of them are not.
    if (problem->kind == kOtherProblem) {
      problem->kind = kUnknownMetric;
      problem->sentence += "; one of them cannot be collected this way, or has no such value "
                           "(.sum, .avg, .max, .ratio, .pct, …)";
    }
    return false;
  }
  return true;
}

CUptiResult MetricPlan::Evaluate(const std::vector<uint8_t>& image, size_t index,
                                 double* values) const {
  CUpti_Profiler_Host_EvaluateToGpuValues_Params params = {
      CUpti_Profiler_Host_EvaluateToGpuValues_Params_STRUCT_SIZE};
  params.pHostObject = host_;
  params.pCounterDataImage = image.data();
  params.counterDataImageSize = image.size();
  params.rangeIndex = index;
  params.ppMetricNames = const_cast<const char**>(names_.data());
  params.numMetrics = names_.size();
  params.pMetricValues = values;
  return api_.cuptiProfilerHostEvaluateToGpuValues(&params);
}

bool SplitIntoPasses(const CuptiApi& api, CUpti_ProfilerType type, const std::string& chip,
                     const std::vector<uint8_t>& availability,
                     const std::vector<std::string>& metrics,
                     std::vector<std::vector<std::string>>* groups, Problem* problem) {
  groups->clear();
  for (const std::string& metric : metrics) {
    bool placed = false;
    for (std::vector<std::string>& group : *groups) {
      group.push_back(metric);
      MetricPlan plan(api);
      Problem ignored;
      placed = plan.Make(type, chip, availability, group, &ignored) && plan.passes() == 1;
      if (placed) break;
      group.pop_back();
    }
    if (placed) continue;
    MetricPlan alone(api);
    if (!alone.Make(type, chip, availability, {metric}, problem)) return false;
    if (alone.passes() != 1) {
      problem->kind = kTooManyPasses;
      problem->sentence = "\"" + metric + "\" alone needs " + std::to_string(alone.passes()) +
                          " hardware passes, so one run of the program cannot collect it; use "
                          "replay=kernel, or the counters that it is made of";
      return false;
    }
    groups->push_back({metric});
  }
  return true;
}

}  // namespace sextant::inject
