// The instrument `pcsampling`: which instruction warps stood at and why, by CUPTI's PC Sampling.
//
// Options: mode (continuous, serialized), period (log2 of the cycles between samples of an SM, 5 to
// 31). Continuous lets kernels overlap and costs nearly nothing; serialized runs kernels one after
// another. Samples are fetched on the program's own threads, where it waits for the GPU and where it
// unloads code: fetched on a thread of ours, they met CUPTI loading modules.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "workers/inject/code_book.h"
#include "workers/inject/launches.h"
#include "workers/inject/profiler_session.h"

namespace sextant::inject {
namespace {

constexpr uint32_t kRange = kPcSamplingFrames;
constexpr size_t kPcsAtOnce = 4096;     // of a periodic read
constexpr size_t kPcsAtEnd = 64 * 1024;  // of what is left when sampling ends
constexpr int kMaxReads = 1024;
constexpr uint64_t kSynchronizeMs = 10'000;
constexpr uint64_t kReadIntervalNs = 200'000'000;
constexpr size_t kStallNameBytes = CUPTI_STALL_REASON_STRING_SIZE;

// Memory that CUPTI fills with PCs.
class PcBuffer {
 public:
  PcBuffer(size_t pcs, size_t stalls)
      : pcs_(pcs), stalls_(pcs * stalls), data_() {
    for (size_t i = 0; i < pcs; ++i) {
      pcs_[i] = {};
      pcs_[i].size = sizeof(CUpti_PCSamplingPCData);
      pcs_[i].stallReason = &stalls_[i * stalls];
    }
    data_.size = sizeof(data_);
    data_.collectNumPcs = pcs;
    data_.pPcData = pcs_.data();
  }
  PcBuffer(const PcBuffer&) = delete;
  CUpti_PCSamplingData& data() { return data_; }

 private:
  std::vector<CUpti_PCSamplingPCData> pcs_;
  std::vector<CUpti_PCSamplingStallReason> stalls_;
  CUpti_PCSamplingData data_;
};

// The sampling of one context.
struct Sampling {
  std::unique_ptr<PcBuffer> reads;
  std::unique_ptr<PcBuffer> rest;  // what Disable leaves
};

struct State {
  explicit State(Session& of) : session(of), code(of, kRange) {}

  Session& session;
  CodeBook code;
  bool serialized = false;
  uint32_t period = 0;  // 0: CUPTI's choice
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock:
  std::unordered_map<CUcontext, Sampling> contexts;
  PcTotals totals = {};
  bool described = false;
  uint64_t last_read_ns = 0;
};

State* state = nullptr;

CUpti_PCSamplingConfigurationInfo Attribute(CUpti_PCSamplingConfigurationAttributeType type) {
  CUpti_PCSamplingConfigurationInfo attribute;
  memset(&attribute, 0, sizeof(attribute));
  attribute.attributeType = type;
  return attribute;
}

// Writes the names of the stall reasons; their indices in ascending order.
bool ReadStalls(State& s, CUcontext context, std::vector<uint32_t>* indices) {
  const CuptiApi& api = s.session.cupti;
  size_t count = 0;
  CUpti_PCSamplingGetNumStallReasonsParams number = {CUpti_PCSamplingGetNumStallReasonsParamsSize};
  number.ctx = context;
  number.numStallReasons = &count;
  CUptiResult result = api.cuptiPCSamplingGetNumStallReasons(&number);
  if (result != CUPTI_SUCCESS) {
    Report(s.session, kRange, result, "counting the stall reasons");
    return false;
  }
  indices->resize(count);
  std::vector<char> text(count * kStallNameBytes);
  std::vector<char*> names(count);
  for (size_t i = 0; i < count; ++i) names[i] = &text[i * kStallNameBytes];
  CUpti_PCSamplingGetStallReasonsParams reasons = {CUpti_PCSamplingGetStallReasonsParamsSize};
  reasons.ctx = context;
  reasons.numStallReasons = count;
  reasons.stallReasonIndex = indices->data();
  reasons.stallReasons = names.data();
  result = api.cuptiPCSamplingGetStallReasons(&reasons);
  if (result != CUPTI_SUCCESS) {
    Report(s.session, kRange, result, "asking for the stall reasons");
    return false;
  }
  if (s.described) return true;
  for (size_t i = 0; i < count; ++i) {
    text[(i + 1) * kStallNameBytes - 1] = 0;
    const MetricRecord record = {(*indices)[i], s.session.texts.Id(names[i]), 0, 0};
    s.session.file.Append(kRange + kMetricFrame, &record, sizeof(record));
  }
  return true;
}

bool SetUp(State& s, CUcontext context) {
  const uint64_t begin_ns = MonotonicNs();
  const CuptiApi& api = s.session.cupti;
  CUpti_PCSamplingEnableParams enable = {CUpti_PCSamplingEnableParamsSize};
  enable.ctx = context;
  CUptiResult result = api.cuptiPCSamplingEnable(&enable);
  if (result != CUPTI_SUCCESS) {
    Report(s.session, kRange, result, "enabling PC sampling");
    return false;
  }
  std::vector<uint32_t> stalls;
  if (!ReadStalls(s, context, &stalls)) return false;
  Sampling& sampling = s.contexts[context];
  sampling.reads = std::make_unique<PcBuffer>(kPcsAtOnce, stalls.size());
  sampling.rest = std::make_unique<PcBuffer>(kPcsAtEnd, stalls.size());

  std::vector<CUpti_PCSamplingConfigurationInfo> attributes;
  auto mode = Attribute(CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_COLLECTION_MODE);
  mode.attributeData.collectionModeData.collectionMode =
      s.serialized ? CUPTI_PC_SAMPLING_COLLECTION_MODE_KERNEL_SERIALIZED
                   : CUPTI_PC_SAMPLING_COLLECTION_MODE_CONTINUOUS;
  attributes.push_back(mode);
  auto reasons = Attribute(CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_STALL_REASON);
  reasons.attributeData.stallReasonData.stallReasonCount = stalls.size();
  reasons.attributeData.stallReasonData.pStallReasonIndex = stalls.data();
  attributes.push_back(reasons);
  auto buffer = Attribute(CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_SAMPLING_DATA_BUFFER);
  buffer.attributeData.samplingDataBufferData.samplingDataBuffer = &sampling.rest->data();
  attributes.push_back(buffer);
  if (s.period != 0) {
    auto period = Attribute(CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_SAMPLING_PERIOD);
    period.attributeData.samplingPeriodData.samplingPeriod = s.period;
    attributes.push_back(period);
  }
  CUpti_PCSamplingConfigurationInfoParams config = {CUpti_PCSamplingConfigurationInfoParamsSize};
  config.ctx = context;
  config.numAttributes = attributes.size();
  config.pPCSamplingConfigurationInfo = attributes.data();
  result = api.cuptiPCSamplingSetConfigurationAttribute(&config);
  if (result != CUPTI_SUCCESS) {
    Report(s.session, kRange, result, "configuring PC sampling");
    return false;
  }
  if (s.described) return true;
  s.described = true;

  auto period = Attribute(CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_SAMPLING_PERIOD);
  config.numAttributes = 1;
  config.pPCSamplingConfigurationInfo = &period;
  PlanRecord plan = {};
  if (api.cuptiPCSamplingGetConfigurationAttribute(&config) == CUPTI_SUCCESS) {
    const uint32_t log2 = period.attributeData.samplingPeriodData.samplingPeriod;
    if (log2 < 32) plan.period_cycles = 1u << log2;
  }
  plan.device = static_cast<uint32_t>(std::max(0, DeviceOf(context)));
  plan.hardware_passes = plan.part = plan.parts = 1;
  plan.replay = kApplicationReplay;
  plan.serialized = s.serialized ? 1 : 0;
  plan.setup_ns = MonotonicNs() - begin_ns;
  s.session.file.Append(kRange + kPlanFrame, &plan, sizeof(plan));
  return true;
}

// Writes what a buffer holds, and empties it.
void Write(State& s, CUpti_PCSamplingData& data) {
  s.totals.samples += data.totalSamples;
  s.totals.dropped += data.droppedSamples;
  s.totals.foreign += data.nonUsrKernelsTotalSamples;
  if (data.hardwareBufferFull != 0) s.totals.buffer_full = 1;
  std::vector<StallCount> counts;
  for (size_t i = 0; i < std::min(data.totalNumPcs, data.collectNumPcs); ++i) {
    const CUpti_PCSamplingPCData& pc = data.pPcData[i];
    if (pc.functionName == nullptr) continue;
    s.code.Add(pc.cubinCrc, pc.functionIndex, pc.functionName, static_cast<uint32_t>(pc.pcOffset));
    counts.clear();
    for (size_t k = 0; k < pc.stallReasonCount; ++k) {
      if (pc.stallReason[k].samples == 0) continue;
      counts.push_back(
          {pc.stallReason[k].pcSamplingStallReasonIndex, pc.stallReason[k].samples});
    }
    PcRecord record = {};
    record.cubin_crc = pc.cubinCrc;
    record.pc = pc.pcOffset;
    record.symbol = pc.functionIndex;
    record.kernel = s.session.texts.Id(pc.functionName);
    record.correlation = pc.correlationId;
    record.stalls = static_cast<uint32_t>(counts.size());
    s.session.file.Append(kRange + kLaunchFrame, &record, sizeof(record), counts.data(),
                          counts.size() * sizeof(StallCount));
  }
  s.code.Write();
  s.session.file.Append(kRange + kTotalFrame, &s.totals, sizeof(s.totals));
  data.totalSamples = data.droppedSamples = data.nonUsrKernelsTotalSamples = 0;
  data.totalNumPcs = 0;
}

void Read(State& s, CUcontext context, Sampling& sampling) {
  for (int read = 0; read < kMaxReads; ++read) {
    CUpti_PCSamplingData& data = sampling.reads->data();
    CUpti_PCSamplingGetDataParams params = {CUpti_PCSamplingGetDataParamsSize};
    params.ctx = context;
    params.pcSamplingData = &data;
    const CUptiResult result = s.session.cupti.cuptiPCSamplingGetData(&params);
    // A full hardware buffer is told as an error, and in the data.
    if (result != CUPTI_SUCCESS && result != CUPTI_ERROR_OUT_OF_MEMORY) return;
    if (result == CUPTI_ERROR_OUT_OF_MEMORY) data.hardwareBufferFull = 1;
    const bool more = data.remainingNumPcs > 0 && data.totalNumPcs > 0;
    if (data.totalNumPcs > 0 || data.totalSamples > 0 || data.hardwareBufferFull) Write(s, data);
    if (!more) return;
  }
}

void End(State& s, CUcontext context, Sampling& sampling) {
  Read(s, context, sampling);
  CUpti_PCSamplingDisableParams disable = {CUpti_PCSamplingDisableParamsSize};
  disable.ctx = context;
  if (s.session.cupti.cuptiPCSamplingDisable(&disable) != CUPTI_SUCCESS) return;
  CUpti_PCSamplingData& rest = sampling.rest->data();
  s.totals.left_out += rest.remainingNumPcs;
  Write(s, rest);
}

// While the program runs. `now`: whether it cannot wait.
void ReadAll(State& s, bool now) {
  const uint64_t at_ns = MonotonicNs();
  if (pthread_mutex_trylock(&s.lock) != 0) return;
  if (now || at_ns - s.last_read_ns > kReadIntervalNs) {
    s.last_read_ns = at_ns;
    for (auto& [context, sampling] : s.contexts) Read(s, context, sampling);
  }
  pthread_mutex_unlock(&s.lock);
}

bool Start(Session& session) {
  const CuptiApi& api = session.cupti;
  if (api.cuptiPCSamplingEnable == nullptr || api.cuptiPCSamplingGetStallReasons == nullptr ||
      api.cuptiPCSamplingSetConfigurationAttribute == nullptr) {
    Report(session, kRange, CUPTI_ERROR_NOT_SUPPORTED, "PC sampling by CUPTI at " + api.path);
    return false;
  }
  State* const s = new State(session);
  s->serialized = session.options.Text("pcsampling.mode") == "serialized";
  s->period = static_cast<uint32_t>(session.options.Number("pcsampling.period", 0));
  state = s;
  s->last_read_ns = MonotonicNs();
  for (const CUpti_CallbackId id :
       {CUPTI_CBID_RESOURCE_CONTEXT_CREATED, CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING,
        CUPTI_CBID_RESOURCE_MODULE_UNLOAD_STARTING}) {
    if (!session.Enable(CUPTI_CB_DOMAIN_RESOURCE, id)) return false;
  }
  return session.Enable(CUPTI_CB_DOMAIN_SYNCHRONIZE, CUPTI_CBID_SYNCHRONIZE_STREAM_SYNCHRONIZED) &&
         session.Enable(CUPTI_CB_DOMAIN_SYNCHRONIZE, CUPTI_CBID_SYNCHRONIZE_CONTEXT_SYNCHRONIZED);
}

void OnCallback(Session&, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (Quiet::Now()) return;
  if (domain == CUPTI_CB_DOMAIN_SYNCHRONIZE ||
      (domain == CUPTI_CB_DOMAIN_RESOURCE && id == CUPTI_CBID_RESOURCE_MODULE_UNLOAD_STARTING)) {
    const Quiet quiet;
    // PCs of code that is unloaded must not meet those of code loaded to the same place.
    return ReadAll(*state, domain == CUPTI_CB_DOMAIN_RESOURCE);
  }
  if (domain != CUPTI_CB_DOMAIN_RESOURCE) return;
  if (id != CUPTI_CBID_RESOURCE_CONTEXT_CREATED &&
      id != CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) {
    return;
  }
  State& s = *state;
  const CUcontext context = static_cast<const CUpti_ResourceData*>(data)->context;
  const Quiet quiet;
  if (id == CUPTI_CBID_RESOURCE_CONTEXT_CREATED) {
    const Locked locked(s.lock);
    if (!SetUp(s, context)) s.contexts.erase(context);
    return;
  }
  SynchronizeWithin(context, kSynchronizeMs);
  const Locked locked(s.lock);
  const auto found = s.contexts.find(context);
  if (found == s.contexts.end()) return;
  End(s, context, found->second);
  s.contexts.erase(found);
}

void OnModule(Session&, const LoadedModule& module) { state->code.AddModule(module.cubin); }

void Stop(Session&) {
  State& s = *state;
  const Quiet quiet;
  const Locked locked(s.lock);
  for (auto& [context, sampling] : s.contexts) {
    // With a kernel that never ends only what was sampled so far can be had.
    if (SynchronizeWithin(context, kSynchronizeMs)) {
      End(s, context, sampling);
    } else {
      Read(s, context, sampling);
    }
  }
  // CUPTI may still look at the buffers: they are left to the end of the process.
}

}  // namespace

const Instrument kPcSampling = {"pcsampling", Start, Stop, OnCallback, true, OnModule};

}  // namespace sextant::inject
