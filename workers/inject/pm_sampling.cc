// The instrument `pmsampling`: counters of the whole GPU at a fixed interval, by CUPTI's PM Sampling.
//
// Options: metrics (names, '+' between; sets with '|' between, of which the first is taken that the
// chip has and can count in one hardware pass), interval_ns, buffer_bytes (of the hardware).
// Sampling begins with the first context, on its device; programs run as they would without it.
#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "workers/inject/flusher.h"
#include "workers/inject/launches.h"
#include "workers/inject/profiler_session.h"

namespace sextant::inject {
namespace {

constexpr uint32_t kRange = kPmSamplingFrames;
constexpr uint64_t kDefaultIntervalNs = 20'000;
constexpr uint64_t kDefaultBufferBytes = 256u << 20;
constexpr uint64_t kDecodeMs = 10;
constexpr uint64_t kSynchronizeMs = 10'000;
// That the counter data image holds. What does not fit when the hardware's buffer is read is lost, so
// the image is cleared well before it is full.
constexpr uint32_t kImageSamples = 16 * 1024;
constexpr uint32_t kClearAt = 2 * 1024;
constexpr int kMaxDecodes = 64;
constexpr size_t kBatchBytes = 1u << 20;

struct State {
  explicit State(Session& of) : session(of) {}

  Session& session;
  std::unique_ptr<MetricPlan> plan;
  Flusher flusher;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock:
  CUcontext context = nullptr;  // the first
  CUpti_PmSampling_Object* sampler = nullptr;
  std::vector<uint8_t> image;
  size_t written = 0;           // samples of the image that were written
  uint64_t started_ns = 0;      // samples before are no samples
  bool overflow = false;
};

State* state = nullptr;

bool Fail(State& s, CUptiResult result, const char* what) {
  if (result == CUPTI_SUCCESS) return true;
  Report(s.session, kRange, result, what);
  return false;
}

bool ClearImage(State& s) {
  CUpti_PmSampling_CounterDataImage_Initialize_Params params = {
      CUpti_PmSampling_CounterDataImage_Initialize_Params_STRUCT_SIZE};
  params.pPmSamplingObject = s.sampler;
  params.counterDataSize = s.image.size();
  params.pCounterData = s.image.data();
  return s.session.cupti.cuptiPmSamplingCounterDataImageInitialize(&params) == CUPTI_SUCCESS;
}

// What CUPTI stamps records with, samples too.
uint64_t CUPTIAPI Timestamp() { return MonotonicNs(); }

std::vector<std::string> SplitSets(std::string_view text) {
  std::vector<std::string> sets;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('|', begin), text.size());
    sets.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return sets;
}

bool Plan(State& s, uint32_t device, std::string* chip) {
  const CuptiApi& api = s.session.cupti;
  *chip = ChipOf(s.session, kRange, device);
  if (chip->empty()) return false;
  CUpti_PmSampling_GetCounterAvailability_Params available = {
      CUpti_PmSampling_GetCounterAvailability_Params_STRUCT_SIZE};
  available.deviceIndex = device;
  CUptiResult result = api.cuptiPmSamplingGetCounterAvailability(&available);
  std::vector<uint8_t> availability;
  if (result == CUPTI_SUCCESS) {
    availability.resize(available.counterAvailabilityImageSize);
    available.pCounterAvailabilityImage = availability.data();
    result = api.cuptiPmSamplingGetCounterAvailability(&available);
  }
  if (!Fail(s, result, "asking which counters are available")) return false;
  Problem problem;
  for (const std::string& set : SplitSets(s.session.options.Text("pmsampling.metrics"))) {
    s.plan = std::make_unique<MetricPlan>(api);
    if (!s.plan->Make(CUPTI_PROFILER_TYPE_PM_SAMPLING, *chip, availability, SplitNames(set),
                      &problem)) {
      continue;
    }
    if (s.plan->passes() == 1) return true;
    problem.kind = kTooManyPasses;
    problem.result = CUPTI_SUCCESS;
    problem.sentence = "the metrics need " + std::to_string(s.plan->passes()) +
                       " hardware passes on " + *chip +
                       ", and samples over time are taken in one; ask for fewer, or for those of "
                       "one counter group (TPC.TriageCompute.…)";
  }
  Report(s.session, kRange, problem);
  return false;
}

void SetUp(State& s, CUcontext context) {
  const uint64_t begin_ns = MonotonicNs();
  const CuptiApi& api = s.session.cupti;
  const uint32_t device = static_cast<uint32_t>(std::max(0, DeviceOf(context)));
  std::string chip;
  if (!Plan(s, device, &chip)) return;
  // The same clock for samples as for kernels, whichever instruments run.
  if (api.cuptiActivityRegisterTimestampCallback != nullptr) {
    api.cuptiActivityRegisterTimestampCallback(Timestamp);
  }

  CUpti_PmSampling_Enable_Params enable = {CUpti_PmSampling_Enable_Params_STRUCT_SIZE};
  enable.deviceIndex = device;
  if (!Fail(s, api.cuptiPmSamplingEnable(&enable), "enabling PM sampling")) return;
  s.sampler = enable.pPmSamplingObject;
  const uint64_t interval_ns =
      s.session.options.Number("pmsampling.interval_ns", kDefaultIntervalNs);
  CUpti_PmSampling_SetConfig_Params config = {CUpti_PmSampling_SetConfig_Params_STRUCT_SIZE};
  config.pPmSamplingObject = s.sampler;
  config.configSize = s.plan->config().size();
  config.pConfig = s.plan->config().data();
  config.hardwareBufferSize =
      s.session.options.Number("pmsampling.buffer_bytes", kDefaultBufferBytes);
  config.samplingInterval = interval_ns;
  config.triggerMode = CUPTI_PM_SAMPLING_TRIGGER_MODE_GPU_TIME_INTERVAL;
  config.hwBufferAppendMode = CUPTI_PM_SAMPLING_HARDWARE_BUFFER_APPEND_MODE_KEEP_OLDEST;
  CUpti_PmSampling_GetCounterDataSize_Params size = {
      CUpti_PmSampling_GetCounterDataSize_Params_STRUCT_SIZE};
  size.pPmSamplingObject = s.sampler;
  size.pMetricNames = const_cast<const char**>(s.plan->names().data());
  size.numMetrics = s.plan->names().size();
  size.maxSamples = kImageSamples;
  bool ok = Fail(s, api.cuptiPmSamplingSetConfig(&config), "configuring PM sampling") &&
            Fail(s, api.cuptiPmSamplingGetCounterDataSize(&size), "sizing the samples");
  if (ok) {
    s.image.resize(size.counterDataSize);
    ok = ClearImage(s);
    CUpti_PmSampling_Start_Params start = {CUpti_PmSampling_Start_Params_STRUCT_SIZE};
    start.pPmSamplingObject = s.sampler;
    s.started_ns = MonotonicNs();
    ok = ok && Fail(s, api.cuptiPmSamplingStart(&start), "starting PM sampling");
  }
  if (!ok) {
    s.sampler = nullptr;
    return;
  }
  s.context = context;
  WriteMetrics(s.session, kRange, *s.plan);
  PlanRecord record = {};
  record.device = device;
  record.chip = s.session.texts.Id(chip);
  record.metrics = static_cast<uint32_t>(s.plan->metrics().size());
  record.hardware_passes = record.part = record.parts = 1;
  record.replay = kApplicationReplay;
  record.interval_ns = static_cast<uint32_t>(interval_ns);
  record.setup_ns = MonotonicNs() - begin_ns;
  s.session.file.Append(kRange + kPlanFrame, &record, sizeof(record));
}

// Writes the samples that are new in the image. False: it could not be read.
bool WriteSamples(State& s) {
  const CuptiApi& api = s.session.cupti;
  CUpti_PmSampling_GetCounterDataInfo_Params info = {
      CUpti_PmSampling_GetCounterDataInfo_Params_STRUCT_SIZE};
  info.pCounterDataImage = s.image.data();
  info.counterDataImageSize = s.image.size();
  if (api.cuptiPmSamplingGetCounterDataInfo(&info) != CUPTI_SUCCESS) return false;
  const size_t metrics = s.plan->metrics().size();
  std::vector<double> values(metrics);
  std::vector<uint8_t> batch;
  const auto write = [&] {
    if (batch.empty()) return;
    s.session.file.Append(kRange + kLaunchFrame, batch.data(), batch.size());
    batch.clear();
  };
  for (size_t i = s.written; i < info.numCompletedSamples; ++i) {
    CUpti_PmSampling_CounterData_GetSampleInfo_Params sample = {
        CUpti_PmSampling_CounterData_GetSampleInfo_Params_STRUCT_SIZE};
    sample.pPmSamplingObject = s.sampler;
    sample.pCounterDataImage = s.image.data();
    sample.counterDataImageSize = s.image.size();
    sample.sampleIndex = i;
    if (api.cuptiPmSamplingCounterDataGetSampleInfo(&sample) != CUPTI_SUCCESS) continue;
    // The first sample reaches back to when the counters were last read.
    if (sample.startTimestamp < s.started_ns) continue;
    std::fill(values.begin(), values.end(), std::numeric_limits<double>::quiet_NaN());
    s.plan->Evaluate(s.image, i, values.data());
    SampleRecord record = {};
    record.start_ns = sample.startTimestamp;
    record.end_ns = sample.endTimestamp;
    record.metrics = static_cast<uint32_t>(metrics);
    record.flags = s.overflow ? kOverflowBefore : 0;
    s.overflow = false;
    const auto* const head = reinterpret_cast<const uint8_t*>(&record);
    const auto* const body = reinterpret_cast<const uint8_t*>(values.data());
    batch.insert(batch.end(), head, head + sizeof(record));
    batch.insert(batch.end(), body, body + metrics * sizeof(double));
    if (batch.size() >= kBatchBytes) write();
  }
  write();
  s.written = info.numCompletedSamples;
  if (s.written < kClearAt) return true;
  s.written = 0;
  return ClearImage(s);
}

// Reads the hardware's buffer until it is empty.
void Drain(State& s) {
  for (int i = 0; i < kMaxDecodes; ++i) {
    CUpti_PmSampling_DecodeData_Params decode = {CUpti_PmSampling_DecodeData_Params_STRUCT_SIZE};
    decode.pPmSamplingObject = s.sampler;
    decode.pCounterDataImage = s.image.data();
    decode.counterDataImageSize = s.image.size();
    const CUptiResult result = s.session.cupti.cuptiPmSamplingDecodeData(&decode);
    if (result == CUPTI_ERROR_OUT_OF_MEMORY || decode.overflow != 0) {
      s.overflow = true;
      ++s.session.file.header().dropped_records;
    } else if (result != CUPTI_SUCCESS) {
      return;
    }
    if (!WriteSamples(s) ||
        decode.decodeStopReason != CUPTI_PM_SAMPLING_DECODE_STOP_REASON_COUNTER_DATA_FULL) {
      return;
    }
  }
}

void FlushNow() {
  State& s = *state;
  const Quiet quiet;
  if (pthread_mutex_trylock(&s.lock) != 0) return;
  if (s.sampler != nullptr) Drain(s);
  pthread_mutex_unlock(&s.lock);
}

// Holding the lock.
void End(State& s) {
  if (s.sampler == nullptr) return;
  SynchronizeWithin(s.context, kSynchronizeMs);
  CUpti_PmSampling_Stop_Params stop = {CUpti_PmSampling_Stop_Params_STRUCT_SIZE};
  stop.pPmSamplingObject = s.sampler;
  if (s.session.cupti.cuptiPmSamplingStop(&stop) == CUPTI_SUCCESS) Drain(s);
  // CUPTI takes its own part down with the process.
  s.sampler = nullptr;
}

bool Start(Session& session) {
  const CuptiApi& api = session.cupti;
  Problem problem;
  if (!HasMetricPlan(api, &problem)) {
    Report(session, kRange, problem);
    return false;
  }
  if (api.cuptiPmSamplingEnable == nullptr || api.cuptiPmSamplingDecodeData == nullptr) {
    problem.kind = kNotSupported;
    problem.sentence = "CUPTI at " + api.path + " has no PM Sampling: it is older than CUDA 12.6";
    Report(session, kRange, problem);
    return false;
  }
  state = new State(session);
  if (!session.Enable(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_CONTEXT_CREATED) ||
      !session.Enable(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING)) {
    return false;
  }
  state->flusher.Start(kDecodeMs, FlushNow);
  return true;
}

void OnCallback(Session&, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (Quiet::Now() || domain != CUPTI_CB_DOMAIN_RESOURCE) return;
  if (id != CUPTI_CBID_RESOURCE_CONTEXT_CREATED &&
      id != CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING) {
    return;
  }
  State& s = *state;
  const CUcontext context = static_cast<const CUpti_ResourceData*>(data)->context;
  const Quiet quiet;
  const Locked locked(s.lock);
  if (id == CUPTI_CBID_RESOURCE_CONTEXT_CREATED) {
    if (s.context == nullptr) SetUp(s, context);
  } else if (context == s.context) {
    End(s);
  }
}

void Stop(Session&) {
  State& s = *state;
  const Quiet quiet;
  s.flusher.Stop();
  if (pthread_mutex_trylock(&s.lock) != 0) return;
  End(s);
  pthread_mutex_unlock(&s.lock);
}

}  // namespace

const Instrument kPmSampling = {"pmsampling", Start, Stop, OnCallback, false, nullptr};

}  // namespace sextant::inject
