// The instrument `counters`: hardware counters of each launch, by CUPTI's Range Profiler.
//
// Options: metrics (names, '+' between), wanted (the same, but those that the chip lacks are left
// out), replay (kernel, application), part (application replay:
// which hardware pass, from 1), skip and launches (which launches are counted).
//
// A metric set that fits into one hardware pass needs no replay: launches then run once, in order,
// and their memory is left alone. Everything is set up when a context comes to life, because a
// stream that captures a graph tolerates nothing later.
#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "workers/inject/launches.h"
#include "workers/inject/profiler_session.h"

namespace sextant::inject {
namespace {

constexpr uint32_t kRange = kCounterFrames;
// Ranges that a counter data image holds. One where replay makes every launch wait anyway, so that
// a crash loses one launch at most; more where launches run freely.
constexpr size_t kRangesFree = 32;
constexpr uint64_t kSynchronizeMs = 10'000;

// The range profiler of one context.
class ContextCounters {
 public:
  explicit ContextCounters(Session& session) : session_(session), plan_(session.cupti) {}

  bool SetUp(CUcontext context, const std::vector<std::string>& metrics,
             const std::vector<std::string>& wanted, bool application, uint64_t part);
  bool Switch(bool on);
  // Launches since the last Flush(), in order.
  void Add(const LaunchRecord& record) { pending_.push_back(record); }
  bool Full() const { return pending_.size() >= ranges_; }
  // Auto ranges for Add(), user ranges for graphs. A profiler object keeps the kind of range that it
  // was first configured with; switching takes a fifth of a second.
  bool UseRanges(CUpti_ProfilerRange range);
  // Stops, reads the counters of pending launches, writes them.
  bool Flush();
  // One range around a graph's launch, which CUPTI does not take apart. Nothing is pending before
  // and after. Only where no replay is needed: what a graph does cannot be put back.
  bool BeginGraph();
  bool EndGraph(const LaunchRecord& record);
  bool single_pass() const { return single_pass_; }
  bool running() const { return running_; }

 private:
  bool Fail(CUptiResult result, const char* what) {
    if (result == CUPTI_SUCCESS) return true;
    Report(session_, kRange, result, what);
    return false;
  }
  bool ClearImage();
  bool Configure(CUpti_ProfilerRange range);
  void Write(const LaunchRecord& record, const std::vector<double>& values);

  Session& session_;
  MetricPlan plan_;
  CUcontext context_ = nullptr;
  CUpti_RangeProfiler_Object* profiler_ = nullptr;
  CUpti_ProfilerRange range_ = CUPTI_AutoRange;
  std::vector<uint8_t> image_;
  size_t ranges_ = 1;
  bool single_pass_ = false;
  bool running_ = false;
  std::vector<LaunchRecord> pending_;
};

bool ContextCounters::SetUp(CUcontext context, const std::vector<std::string>& metrics,
                            const std::vector<std::string>& wanted, bool application,
                            uint64_t part) {
  const uint64_t begin_ns = MonotonicNs();
  const CuptiApi& api = session_.cupti;
  context_ = context;
  const int device = DeviceOf(context);
  const std::string chip = ChipOf(session_, kRange, device < 0 ? 0 : device);
  if (chip.empty()) return false;

  CUpti_Profiler_GetCounterAvailability_Params available = {
      CUpti_Profiler_GetCounterAvailability_Params_STRUCT_SIZE};
  available.ctx = context;
  CUptiResult result = api.cuptiProfilerGetCounterAvailability(&available);
  std::vector<uint8_t> availability;
  if (result == CUPTI_SUCCESS) {
    availability.resize(available.counterAvailabilityImageSize);
    available.pCounterAvailabilityImage = availability.data();
    result = api.cuptiProfilerGetCounterAvailability(&available);
  }
  if (!Fail(result, "asking which counters are available")) return false;

  Problem problem;
  std::vector<std::string> chosen = metrics;
  for (const std::string& metric : wanted) {
    if (std::find(chosen.begin(), chosen.end(), metric) != chosen.end()) continue;
    MetricPlan alone(api);
    if (!alone.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, chip, availability, {metric}, &problem)) {
      session_.file.Note(chip + " has no " + metric + "; it was left out");
    } else if (application && alone.passes() != 1) {
      session_.file.Note(metric + " needs " + std::to_string(alone.passes()) +
                         " hardware passes by itself, which replay=application cannot give; it "
                         "was left out");
    } else {
      chosen.push_back(metric);
    }
  }
  size_t parts = 1;
  if (application) {
    std::vector<std::vector<std::string>> groups;
    if (!SplitIntoPasses(api, CUPTI_PROFILER_TYPE_RANGE_PROFILER, chip, availability, chosen,
                         &groups, &problem)) {
      Report(session_, kRange, problem);
      return false;
    }
    parts = groups.size();
    if (part > parts) {
      problem.kind = kTooManyPasses;
      problem.sentence = "part=" + std::to_string(part) + ": the metrics fit into " +
                         std::to_string(parts) + " hardware passes on this chip, so there is no " +
                         "such part; leave it out";
      Report(session_, kRange, problem);
      return false;
    }
    chosen = groups[part - 1];
  }
  if (!plan_.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, chip, availability, chosen, &problem)) {
    Report(session_, kRange, problem);
    return false;
  }
  single_pass_ = plan_.passes() == 1;
  ranges_ = single_pass_ ? kRangesFree : 1;

  if (!UseRanges(CUPTI_AutoRange)) return false;

  WriteMetrics(session_, kRange, plan_);
  PlanRecord record = {};
  record.device = static_cast<uint32_t>(std::max(device, 0));
  record.chip = session_.texts.Id(chip);
  record.metrics = static_cast<uint32_t>(plan_.metrics().size());
  record.hardware_passes = static_cast<uint32_t>(plan_.passes());
  record.replay = single_pass_ ? kApplicationReplay : kKernelReplay;
  record.part = application ? static_cast<uint32_t>(part) : 1;
  record.parts = static_cast<uint32_t>(parts);
  record.setup_ns = MonotonicNs() - begin_ns;
  session_.file.Append(kRange + kPlanFrame, &record, sizeof(record));
  return true;
}

bool ContextCounters::UseRanges(CUpti_ProfilerRange range) {
  if (profiler_ != nullptr && range == range_) return true;
  const CuptiApi& api = session_.cupti;
  if (profiler_ != nullptr) {
    if (!Flush()) return false;
    CUpti_RangeProfiler_Disable_Params disable = {CUpti_RangeProfiler_Disable_Params_STRUCT_SIZE};
    disable.pRangeProfilerObject = profiler_;
    profiler_ = nullptr;
    if (!Fail(api.cuptiRangeProfilerDisable(&disable), "disabling the range profiler")) {
      return false;
    }
  }
  CUpti_RangeProfiler_Enable_Params enable = {CUpti_RangeProfiler_Enable_Params_STRUCT_SIZE};
  enable.ctx = context_;
  if (!Fail(api.cuptiRangeProfilerEnable(&enable), "enabling the range profiler")) return false;
  profiler_ = enable.pRangeProfilerObject;
  range_ = range;
  // The first start programs the counters, which takes a while; later ones do not.
  return Configure(range) && Switch(true) && Switch(false);
}

bool ContextCounters::Configure(CUpti_ProfilerRange range) {
  const CuptiApi& api = session_.cupti;
  CUpti_RangeProfiler_GetCounterDataSize_Params size = {
      CUpti_RangeProfiler_GetCounterDataSize_Params_STRUCT_SIZE};
  size.pRangeProfilerObject = profiler_;
  size.pMetricNames = const_cast<const char**>(plan_.names().data());
  size.numMetrics = plan_.names().size();
  size.maxNumOfRanges = ranges_;
  size.maxNumRangeTreeNodes = static_cast<uint32_t>(ranges_);
  if (!Fail(api.cuptiRangeProfilerGetCounterDataSize(&size), "sizing the counter data")) {
    return false;
  }
  image_.resize(size.counterDataSize);
  if (!ClearImage()) return false;

  CUpti_RangeProfiler_SetConfig_Params config = {CUpti_RangeProfiler_SetConfig_Params_STRUCT_SIZE};
  config.pRangeProfilerObject = profiler_;
  config.configSize = plan_.config().size();
  config.pConfig = plan_.config().data();
  config.counterDataImageSize = image_.size();
  config.pCounterDataImage = image_.data();
  config.range = range;
  config.replayMode = single_pass_ ? CUPTI_ApplicationReplay : CUPTI_KernelReplay;
  config.maxRangesPerPass = ranges_;
  config.numNestingLevels = 1;
  config.minNestingLevel = 1;
  config.passIndex = 0;
  config.targetNestingLevel = single_pass_ ? 1 : 0;
  return Fail(api.cuptiRangeProfilerSetConfig(&config), "configuring the counters");
}

bool ContextCounters::BeginGraph() {
  if (!UseRanges(CUPTI_UserRange) || !Switch(true)) return false;
  CUpti_RangeProfiler_PushRange_Params push = {CUpti_RangeProfiler_PushRange_Params_STRUCT_SIZE};
  push.pRangeProfilerObject = profiler_;
  push.pRangeName = "graph";
  return Fail(session_.cupti.cuptiRangeProfilerPushRange(&push), "counting a graph");
}

bool ContextCounters::EndGraph(const LaunchRecord& record) {
  SynchronizeWithin(context_, kSynchronizeMs);
  CUpti_RangeProfiler_PopRange_Params pop = {CUpti_RangeProfiler_PopRange_Params_STRUCT_SIZE};
  pop.pRangeProfilerObject = profiler_;
  if (!Fail(session_.cupti.cuptiRangeProfilerPopRange(&pop), "counting a graph")) return false;
  pending_.push_back(record);
  return Flush();
}

bool ContextCounters::ClearImage() {
  CUpti_RangeProfiler_CounterDataImage_Initialize_Params params = {
      CUpti_RangeProfiler_CounterDataImage_Initialize_Params_STRUCT_SIZE};
  params.pRangeProfilerObject = profiler_;
  params.counterDataSize = image_.size();
  params.pCounterData = image_.data();
  return Fail(session_.cupti.cuptiRangeProfilerCounterDataImageInitialize(&params),
              "clearing the counter data");
}

bool ContextCounters::Switch(bool on) {
  if (on == running_) return true;
  running_ = on;
  if (on) {
    CUpti_RangeProfiler_Start_Params start = {CUpti_RangeProfiler_Start_Params_STRUCT_SIZE};
    start.pRangeProfilerObject = profiler_;
    return Fail(session_.cupti.cuptiRangeProfilerStart(&start), "starting the counters");
  }
  CUpti_RangeProfiler_Stop_Params stop = {CUpti_RangeProfiler_Stop_Params_STRUCT_SIZE};
  stop.pRangeProfilerObject = profiler_;
  return Fail(session_.cupti.cuptiRangeProfilerStop(&stop), "stopping the counters");
}

void ContextCounters::Write(const LaunchRecord& record, const std::vector<double>& values) {
  session_.file.Append(kRange + kLaunchFrame, &record, sizeof(record), values.data(),
                       values.size() * sizeof(double));
}

bool ContextCounters::Flush() {
  if (pending_.empty()) return Switch(false);
  const CuptiApi& api = session_.cupti;
  std::vector<LaunchRecord> pending;
  pending.swap(pending_);
  if (!Switch(false)) return false;
  CUpti_RangeProfiler_DecodeData_Params decode = {
      CUpti_RangeProfiler_DecodeData_Params_STRUCT_SIZE};
  decode.pRangeProfilerObject = profiler_;
  if (!Fail(api.cuptiRangeProfilerDecodeData(&decode), "reading the counters")) return false;
  CUpti_RangeProfiler_GetCounterDataInfo_Params info = {
      CUpti_RangeProfiler_GetCounterDataInfo_Params_STRUCT_SIZE};
  info.pCounterDataImage = image_.data();
  info.counterDataImageSize = image_.size();
  if (!Fail(api.cuptiRangeProfilerGetCounterDataInfo(&info), "counting the ranges")) return false;

  std::vector<double> values(plan_.metrics().size());
  const size_t ranges = info.numTotalRanges;
  if (ranges != pending.size()) {
    session_.file.Note("CUPTI returned " + std::to_string(ranges) + " ranges for " +
                       std::to_string(pending.size()) + " launches from launch " +
                       std::to_string(pending.front().launch) + " on; their counters are left out");
    session_.file.header().dropped_records += pending.size();
    return ClearImage();
  }
  for (size_t range = 0; range < ranges; ++range) {
    std::fill(values.begin(), values.end(), std::numeric_limits<double>::quiet_NaN());
    plan_.Evaluate(image_, range, values.data());
    pending[range].metrics = static_cast<uint32_t>(values.size());
    Write(pending[range], values);
  }
  if (decode.numOfRangeDropped > 0) {
    session_.file.header().dropped_records += decode.numOfRangeDropped;
  }
  return ClearImage();
}

struct State {
  explicit State(Session& of) : session(of), launches(of.cupti) {}

  Session& session;
  Launches launches;
  std::vector<std::string> metrics, wanted;
  bool application = false;
  uint64_t part = 1;
  uint64_t skip = 0;
  uint64_t most = 0;

  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // from the begin of a launch to its end
  std::unordered_map<CUcontext, std::unique_ptr<ContextCounters>> contexts;
  // The launch that is under way:
  CUpti_CallbackId id = 0;
  LaunchCall call;
  int64_t matching = 0;  // of its kernels
  int64_t first = 0;
  uint64_t begin_ns = 0;
  bool counted = false;
  bool graphs_noted = false;
};

State* state = nullptr;
thread_local bool launching = false;

void OnContext(CUcontext context, CUpti_CallbackId id) {
  State& s = *state;
  const Quiet quiet;
  const Locked locked(s.lock);
  if (id == CUPTI_CBID_RESOURCE_CONTEXT_CREATED) {
    auto counters = std::make_unique<ContextCounters>(s.session);
    if (counters->SetUp(context, s.metrics, s.wanted, s.application, s.part)) {
      s.contexts[context] = std::move(counters);
    }
  } else if (id == CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) {
    const auto found = s.contexts.find(context);
    if (found == s.contexts.end()) return;
    if (found->second->running()) SynchronizeWithin(context, kSynchronizeMs);
    found->second->Flush();
    // CUPTI takes its own part down with the context.
    s.contexts.erase(found);
  }
}

// Whether the launch of number `number` is one that was asked for.
bool Asked(const State& s, int64_t number) {
  const uint64_t n = static_cast<uint64_t>(number);
  return n >= s.skip && n - s.skip < s.most;
}

void BeginLaunch(CUpti_CallbackId id, LaunchCall&& call) {
  State& s = *state;
  pthread_mutex_lock(&s.lock);
  launching = true;
  s.id = id;
  s.call = std::move(call);
  s.matching = 0;
  s.first = s.session.kernels.Next();
  s.counted = false;
  const auto found = s.contexts.find(s.call.context);
  if (s.call.capturing || found == s.contexts.end()) return;
  for (const LaunchedKernel& kernel : s.call.kernels) {
    if (!s.session.kernels.Matches(Demangle(kernel.name.c_str()))) continue;
    s.counted |= Asked(s, s.first + s.matching);
    ++s.matching;
  }
  ContextCounters& counters = *found->second;
  const Quiet quiet;
  if (s.call.graph && s.counted && !counters.single_pass()) {
    s.counted = false;
    if (!s.graphs_noted) {
      s.session.file.Note("launches of CUDA graphs were left out: these metrics need several "
                          "hardware passes, and a graph cannot be replayed kernel by kernel; use "
                          "replay=application, or metrics that fit into one pass");
    }
    s.graphs_noted = true;
  }
  if (s.call.graph && s.counted) {
    s.counted = counters.BeginGraph();
  } else {
    if (s.counted) counters.UseRanges(CUPTI_AutoRange);
    counters.Switch(s.counted);
  }
  s.begin_ns = MonotonicNs();
}

void EndLaunch(bool accepted) {
  State& s = *state;
  const Quiet quiet;
  const auto found = s.contexts.find(s.call.context);
  if (accepted && !s.call.capturing) {
    if (s.counted && found != s.contexts.end()) {
      ContextCounters& counters = *found->second;
      LaunchRecord record = {};
      record.launch = s.first;
      record.begin_ns = s.begin_ns;
      record.end_ns = MonotonicNs();
      record.graph = s.call.graph ? 1 : 0;
      if (s.call.graph) {
        record.launches = static_cast<uint32_t>(s.matching);
        counters.EndGraph(record);
      } else {
        const LaunchedKernel& kernel = s.call.kernels.front();
        record.launches = 1;
        record.kernel = s.session.texts.Id(kernel.name);
        std::copy(std::begin(kernel.grid), std::end(kernel.grid), record.grid);
        std::copy(std::begin(kernel.block), std::end(kernel.block), record.block);
        counters.Add(record);
        if (counters.Full()) counters.Flush();
      }
    }
    s.session.kernels.Count(s.matching);
  }
  launching = false;
  pthread_mutex_unlock(&s.lock);
}

bool Start(Session& session) {
  const CuptiApi& api = session.cupti;
  Problem problem;
  if (!HasMetricPlan(api, &problem)) {
    Report(session, kRange, problem);
    return false;
  }
  if (api.cuptiRangeProfilerSetConfig == nullptr) {
    problem.kind = kNotSupported;
    problem.sentence = "CUPTI at " + api.path + " has no Range Profiler: it is older than CUDA 12.6";
    Report(session, kRange, problem);
    return false;
  }
  State* const s = new State(session);
  s->metrics = SplitNames(session.options.Text("counters.metrics"));
  s->wanted = SplitNames(session.options.Text("counters.wanted"));
  s->application = session.options.Text("counters.replay") == "application";
  s->part = std::max<uint64_t>(1, session.options.Number("counters.part", 1));
  s->skip = session.options.Number("counters.skip", 0);
  s->most = session.options.Number("counters.launches", std::numeric_limits<uint64_t>::max());
  state = s;
  return session.Enable(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_CONTEXT_CREATED) &&
         session.Enable(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) &&
         s->launches.Enable(session);
}

void OnCallback(Session&, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (Quiet::Now()) return;
  if (domain == CUPTI_CB_DOMAIN_RESOURCE) {
    if (id == CUPTI_CBID_RESOURCE_CONTEXT_CREATED ||
        id == CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) {
      OnContext(static_cast<const CUpti_ResourceData*>(data)->context, id);
    }
    return;
  }
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API) return;
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite == CUPTI_API_EXIT && launching && id == state->id) {
    const auto* const result = static_cast<const CUresult*>(call.functionReturnValue);
    EndLaunch(result != nullptr && *result == CUDA_SUCCESS);
    return;
  }
  LaunchCall launch;
  if (state->launches.OnCallback(id, call, &launch) && call.callbackSite == CUPTI_API_ENTER) {
    BeginLaunch(id, std::move(launch));
  }
}

void Stop(Session&) {
  State& s = *state;
  const Quiet quiet;
  // A launch that never returned may hold the lock for ever.
  if (pthread_mutex_trylock(&s.lock) != 0) return;
  for (auto& [context, counters] : s.contexts) {
    if (counters->running() && !SynchronizeWithin(context, kSynchronizeMs)) continue;
    counters->Flush();
  }
  pthread_mutex_unlock(&s.lock);
}

}  // namespace

const Instrument kCounters = {"counters", Start, Stop, OnCallback, false, nullptr};

}  // namespace sextant::inject
