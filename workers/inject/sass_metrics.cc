// The instrument `sassmetrics`: how often each instruction ran, by CUPTI's SASS Metrics, which
// patches kernels. Counts are exact, times are not: kernels run several times slower.
//
// Launches are timed by events (launch_times.h): CUPTI records none in a process whose kernels it patches.
// Graphs run alone.
//
// Options: per (kernel, launch): whether counts are of all launches or of each; skip and launches:
// which launches are counted, with per=launch.
#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "workers/inject/code_book.h"
#include "workers/inject/launch_times.h"
#include "workers/inject/launches.h"
#include "workers/inject/profiler_session.h"

namespace sextant::inject {
namespace {

constexpr uint32_t kRange = kSassMetricsFrames;
constexpr uint64_t kSynchronizeMs = 60'000;  // patched kernels are slow
constexpr size_t kMaxBatch = kMaxPayloadBytes / sizeof(InstructionRecord);

// What an instruction is asked for, in the order of the metric frames.
constexpr const char* kMetrics[] = {
    "smsp__sass_inst_executed",
    "smsp__sass_thread_inst_executed",
    "smsp__sass_thread_inst_executed_pred_on",
};

struct State {
  explicit State(Session& of) : session(of), code(of, kRange), launches(of.cupti), times(of) {}

  Session& session;
  CodeBook code;
  Launches launches;
  LaunchTimes times;
  bool per_launch = false;
  uint64_t skip = 0;
  uint64_t most = 0;

  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock:
  std::unordered_map<CUcontext, int> contexts;          // → device
  std::unordered_map<uint64_t, uint32_t> metric_by_id;
  std::vector<bool> configured;                         // by device
  bool described = false;
  bool told = false;                                    // of graphs
  // The launch that is under way, from its begin to its end:
  int64_t first = 0;
  int64_t matching = 0;
  bool counted = false;
  bool capturing = false;
};

State* state = nullptr;
// The call that launches on this thread (0: none), and whether it is a graph's that runs alone.
thread_local CUpti_CallbackId launching = 0;
thread_local bool alone = false;

bool Fail(State& s, CUptiResult result, const char* what) {
  if (result == CUPTI_SUCCESS) return true;
  Report(s.session, kRange, result, what);
  return false;
}

bool Configure(State& s, uint32_t device) {
  const CuptiApi& api = s.session.cupti;
  if (s.configured.size() <= device) s.configured.resize(device + 1);
  if (s.configured[device]) return true;
  const std::string chip = ChipOf(s.session, kRange, device);
  if (chip.empty()) return false;
  std::vector<CUpti_SassMetrics_Config> configs;
  for (const char* metric : kMetrics) {
    CUpti_SassMetrics_GetProperties_Params properties = {
        CUpti_SassMetrics_GetProperties_Params_STRUCT_SIZE};
    properties.pChipName = chip.c_str();
    properties.pMetricName = metric;
    if (!Fail(s, api.cuptiSassMetricsGetProperties(&properties), metric)) return false;
    s.metric_by_id[properties.metric.metricId] = static_cast<uint32_t>(configs.size());
    configs.push_back(
        {properties.metric.metricId, CUPTI_SASS_METRICS_OUTPUT_GRANULARITY_GPU});
  }
  CUpti_SassMetricsSetConfig_Params config = {CUpti_SassMetricsSetConfig_Params_STRUCT_SIZE};
  config.numOfMetricConfig = configs.size();
  config.pConfigs = configs.data();
  config.deviceIndex = device;
  if (!Fail(s, api.cuptiSassMetricsSetConfig(&config), "configuring SASS metrics")) return false;
  s.configured[device] = true;
  if (s.described) return true;
  s.described = true;
  for (size_t i = 0; i < std::size(kMetrics); ++i) {
    const MetricRecord record = {static_cast<uint32_t>(i), s.session.texts.Id(kMetrics[i]),
                                 s.session.texts.Id("instruction"), 0};
    s.session.file.Append(kRange + kMetricFrame, &record, sizeof(record));
  }
  PlanRecord plan = {};
  plan.device = device;
  plan.chip = s.session.texts.Id(chip);
  plan.metrics = std::size(kMetrics);
  plan.hardware_passes = plan.part = plan.parts = 1;
  plan.replay = kApplicationReplay;
  s.session.file.Append(kRange + kPlanFrame, &plan, sizeof(plan));
  return true;
}

// CUPTI takes no context that is not current (INVALID_CONTEXT): a program that only retains its device's
// primary context has none when this one is made.
void SetUp(State& s, CUcontext context) {
  const CurrentContext current(context);
  const int device = std::max(0, DeviceOf(context));
  if (!Configure(s, static_cast<uint32_t>(device))) return;
  CUpti_SassMetricsEnable_Params enable = {CUpti_SassMetricsEnable_Params_STRUCT_SIZE};
  enable.ctx = context;
  enable.enableLazyPatching = 1;  // else only what is loaded already is patched
  if (!Fail(s, s.session.cupti.cuptiSassMetricsEnable(&enable), "enabling SASS metrics")) return;
  s.contexts[context] = device;
}

// Takes the counts since the last time. `launch` is whose they are; with `keep` false they are only
// cleared.
void Flush(State& s, CUcontext context, int64_t launch, bool keep) {
  const CuptiApi& api = s.session.cupti;
  CUpti_SassMetricsGetDataProperties_Params size = {
      CUpti_SassMetricsGetDataProperties_Params_STRUCT_SIZE};
  size.ctx = context;
  const CurrentContext current(context);
  if (api.cuptiSassMetricsGetDataProperties(&size) != CUPTI_SUCCESS) return;
  const size_t records = size.numOfPatchedInstructionRecords;
  const size_t instances = size.numOfInstances;
  if (records == 0 || instances == 0) return;
  std::vector<CUpti_SassMetrics_InstanceValue> values(records * instances);
  std::vector<CUpti_SassMetrics_Data> data(records);
  for (size_t i = 0; i < records; ++i) {
    data[i] = {};
    data[i].structSize = sizeof(CUpti_SassMetrics_Data);
    data[i].pInstanceValues = &values[i * instances];
  }
  CUpti_SassMetricsFlushData_Params flush = {CUpti_SassMetricsFlushData_Params_STRUCT_SIZE};
  flush.ctx = context;
  flush.numOfPatchedInstructionRecords = records;
  flush.numOfInstances = instances;
  flush.pMetricsData = data.data();
  const CUptiResult result = api.cuptiSassMetricsFlushData(&flush);
  if (result != CUPTI_SUCCESS) {
    s.session.file.Note(std::string("reading the counts: ") + ResultText(api, result));
    s.session.file.header().dropped_records += records;
    return;
  }
  if (!keep) return;
  std::vector<InstructionRecord> out;
  const auto write = [&] {
    if (out.empty()) return;
    s.session.file.Append(kRange + kLaunchFrame, out.data(),
                          out.size() * sizeof(InstructionRecord));
    out.clear();
  };
  for (const CUpti_SassMetrics_Data& one : data) {
    if (one.functionName == nullptr) continue;
    s.code.Add(one.cubinCrc, one.functionIndex, one.functionName, one.pcOffset);
    const uint32_t kernel = s.session.texts.Id(one.functionName);
    for (size_t k = 0; k < instances; ++k) {
      const auto metric = s.metric_by_id.find(one.pInstanceValues[k].metricId);
      if (metric == s.metric_by_id.end()) continue;
      InstructionRecord record = {};
      record.launch = launch;
      record.value = one.pInstanceValues[k].value;
      record.cubin_crc = one.cubinCrc;
      record.symbol = one.functionIndex;
      record.kernel = kernel;
      record.pc = one.pcOffset;
      record.metric = metric->second;
      out.push_back(record);
      if (out.size() == kMaxBatch) write();
    }
  }
  write();
  s.code.Write();
}

// Holds the lock until EndLaunch: launches of other threads wait.
void BeginLaunch(const LaunchCall& call) {
  State& s = *state;
  pthread_mutex_lock(&s.lock);
  s.first = s.session.kernels.Next();
  s.matching = 0;
  s.counted = false;
  s.capturing = call.capturing;
  if (call.capturing) return;
  for (const LaunchedKernel& kernel : call.kernels) {
    if (s.session.kernels.Matches(Demangle(kernel.name.c_str()))) ++s.matching;
  }
  const uint64_t first = static_cast<uint64_t>(s.first);
  s.counted = s.matching > 0 && first >= s.skip && first - s.skip < s.most;
}

void EndLaunch(CUcontext context, bool accepted) {
  State& s = *state;
  const Quiet quiet;
  if (accepted && !s.capturing && s.contexts.contains(context)) {
    // What runs but was not asked for is cleared away, so that counts stay those of one launch.
    if (SynchronizeWithin(context, kSynchronizeMs)) Flush(s, context, s.first, s.counted);
    s.session.kernels.Count(s.matching);
  }
  pthread_mutex_unlock(&s.lock);
}

// With patched kernels, launches of one graph in one stream overlap and compute something else, without an
// error (CUPTI 13.0; examples/cuda_graph with small plates). Nothing else may be under way beside a graph.
void Alone(State& s, CUcontext context) {
  if (SynchronizeWithin(context, kSynchronizeMs)) return;
  s.session.file.Note("a graph could not be run alone, because what ran before had not ended: its counts "
                      "may be those of wrong data");
}

// Kernels of one graph that run side by side fault when they are patched: counting ends before such a graph
// is made, so that it computes what it should.
void GiveUp(State& s) {
  const Locked locked(s.lock);
  for (const auto& [context, device] : s.contexts) {
    if (SynchronizeWithin(context, kSynchronizeMs)) Flush(s, context, -1, !s.per_launch);
    s.times.Drain(context, true);
    const CurrentContext current(context);
    CUpti_SassMetricsDisable_Params disable = {CUpti_SassMetricsDisable_Params_STRUCT_SIZE};
    disable.ctx = context;
    s.session.cupti.cuptiSassMetricsDisable(&disable);
  }
  Report(s.session, kRange,
         Problem{kNotSupported, CUPTI_SUCCESS,
                 "the program runs CUDA graphs with kernels side by side, which fault when they are "
                 "patched to be counted; counters:set=ipc counts such graphs as wholes"});
}

void TellOfGraphs(State& s) {
  const Locked locked(s.lock);
  if (s.told) return;
  s.told = true;
  s.session.file.Note(
      "the program runs CUDA graphs: each was run alone, because patched kernels of graphs that follow "
      "each other overlap; kernels of graphs were not timed");
}

bool Start(Session& session) {
  const CuptiApi& api = session.cupti;
  if (api.cuptiSassMetricsEnable == nullptr || api.cuptiSassMetricsFlushData == nullptr ||
      api.cuptiSassMetricsSetConfig == nullptr) {
    Report(session, kRange, CUPTI_ERROR_NOT_SUPPORTED, "SASS metrics by CUPTI at " + api.path);
    return false;
  }
  State* const s = new State(session);
  s->per_launch = session.options.Text("sassmetrics.per") == "launch";
  s->skip = session.options.Number("sassmetrics.skip", 0);
  s->most =
      session.options.Number("sassmetrics.launches", std::numeric_limits<uint64_t>::max());
  state = s;
  // With parts of the domain only, CUPTI 13.0 patches no kernels.
  return session.Check(api.cuptiEnableDomain(1, session.subscriber, CUPTI_CB_DOMAIN_RESOURCE),
                       "cuptiEnableDomain") &&
         s->launches.Enable(session);
}

void OnCallback(Session&, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (Quiet::Now()) return;
  State& s = *state;
  if (domain == CUPTI_CB_DOMAIN_RESOURCE) {
    if (id == CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATED) TellOfGraphs(s);
    if (id != CUPTI_CBID_RESOURCE_CONTEXT_CREATED &&
        id != CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) {
      return;
    }
    const CUcontext context = static_cast<const CUpti_ResourceData*>(data)->context;
    const Quiet quiet;
    const Locked locked(s.lock);
    if (id == CUPTI_CBID_RESOURCE_CONTEXT_CREATED) {
      SetUp(s, context);
    } else if (s.contexts.contains(context)) {
      if (SynchronizeWithin(context, kSynchronizeMs)) Flush(s, context, -1, !s.per_launch);
      s.times.Drain(context, true);
      s.contexts.erase(context);
    }
    return;
  }
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API) return;
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite == CUPTI_API_EXIT && launching == id) {
    launching = 0;
    const auto* const result = static_cast<const CUresult*>(call.functionReturnValue);
    const bool accepted = result != nullptr && *result == CUDA_SUCCESS;
    s.times.End(accepted);
    if (alone) Alone(s, call.context);
    if (s.per_launch) EndLaunch(call.context, accepted);
    return;
  }
  if (call.callbackSite == CUPTI_API_ENTER) {
    const CUgraph graph = InstantiatedGraph(id, call);
    if (graph != nullptr && HasKernelsSideBySide(graph)) return GiveUp(s);
  }
  LaunchCall launch;
  if (!s.launches.OnCallback(id, call, &launch) || call.callbackSite != CUPTI_API_ENTER) return;
  launching = id;
  if (s.per_launch) BeginLaunch(launch);
  alone = launch.graph && !launch.capturing;
  if (alone) Alone(s, call.context);
  s.times.Begin(launch, call.correlationId);
}

void OnModule(Session&, const LoadedModule& module) { state->code.AddModule(module.cubin); }

void Stop(Session&) {
  State& s = *state;
  const Quiet quiet;
  if (pthread_mutex_trylock(&s.lock) != 0) return;
  for (const auto& [context, device] : s.contexts) {
    if (SynchronizeWithin(context, kSynchronizeMs)) Flush(s, context, -1, !s.per_launch);
    s.times.Drain(context, true);
  }
  pthread_mutex_unlock(&s.lock);
}

}  // namespace

const Instrument kSassMetrics = {"sassmetrics", Start, Stop, OnCallback, true, OnModule};

}  // namespace sextant::inject
