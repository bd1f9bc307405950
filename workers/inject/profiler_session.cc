#include "workers/inject/profiler_session.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>

#include "workers/inject/driver_api.h"
#include "workers/inject/launches.h"

namespace sextant::inject {

void Report(Session& session, uint32_t range, const Problem& problem) {
  const ProblemRecord record = {problem.kind, static_cast<uint32_t>(problem.result)};
  session.file.Append(range + kProblemFrame, &record, sizeof(record), problem.sentence.data(),
                      problem.sentence.size());
  session.file.Fail(problem.sentence);
}

void Report(Session& session, uint32_t range, CUptiResult result, std::string_view what) {
  Report(session, range, ExplainResult(session.cupti, result, what));
}

std::string ChipOf(Session& session, uint32_t range, uint32_t device) {
  const CuptiApi& api = session.cupti;
  LoadBesideCupti(api);
  if (api.cuptiProfilerInitialize == nullptr || api.cuptiDeviceGetChipName == nullptr) {
    Report(session, range, CUPTI_ERROR_NOT_SUPPORTED, "CUPTI at " + api.path);
    return "";
  }
  CUpti_Profiler_Initialize_Params init = {CUpti_Profiler_Initialize_Params_STRUCT_SIZE};
  CUptiResult result = api.cuptiProfilerInitialize(&init);
  if (result != CUPTI_SUCCESS) {
    Report(session, range, result, "starting the profiler");
    return "";
  }
  CUpti_Device_GetChipName_Params chip = {CUpti_Device_GetChipName_Params_STRUCT_SIZE};
  chip.deviceIndex = device;
  result = api.cuptiDeviceGetChipName(&chip);
  if (result != CUPTI_SUCCESS) {
    Report(session, range, result, "asking for the chip's name");
    return "";
  }
  return chip.pChipName;
}

std::vector<std::string> SplitNames(std::string_view joined) {
  std::vector<std::string> names;
  size_t begin = 0;
  for (size_t at = 0; at <= joined.size(); ++at) {
    if (at < joined.size() && joined[at] != '+') continue;
    if (at > begin) names.emplace_back(joined.substr(begin, at - begin));
    begin = at + 1;
  }
  return names;
}

void WriteMetrics(Session& session, uint32_t range, const MetricPlan& plan) {
  for (size_t i = 0; i < plan.metrics().size(); ++i) {
    const MetricRecord record = {static_cast<uint32_t>(i), session.texts.Id(plan.metrics()[i]),
                                 session.texts.Id(plan.units()[i]), 0};
    session.file.Append(range + kMetricFrame, &record, sizeof(record));
  }
}

CurrentContext::CurrentContext(CUcontext context) {
  const DriverApi& driver = Driver();
  if (driver.cuCtxGetCurrent == nullptr || driver.cuCtxPushCurrent_v2 == nullptr ||
      driver.cuCtxPopCurrent_v2 == nullptr) {
    return;
  }
  const Quiet quiet;
  CUcontext current = nullptr;
  driver.cuCtxGetCurrent(&current);
  pushed_ = current != context && driver.cuCtxPushCurrent_v2(context) == CUDA_SUCCESS;
  ok_ = pushed_ || current == context;
}

CurrentContext::~CurrentContext() {
  if (!pushed_) return;
  const Quiet quiet;
  CUcontext popped = nullptr;
  Driver().cuCtxPopCurrent_v2(&popped);
}

int DeviceOf(CUcontext context) {
  if (Driver().cuCtxGetDevice == nullptr) return -1;
  const CurrentContext current(context);
  const Quiet quiet;
  CUdevice device = -1;
  return current.ok() && Driver().cuCtxGetDevice(&device) == CUDA_SUCCESS ? device : -1;
}

namespace {

// Outlives the one who waits, when that one gives up.
struct Waiting {
  CUcontext context;
  std::atomic<int> users{2};
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t done = PTHREAD_COND_INITIALIZER;
  bool ended = false;
  void Release() {
    if (users.fetch_sub(1) == 1) delete this;
  }
};

void* Synchronize(void* argument) {
  auto* const waiting = static_cast<Waiting*>(argument);
  const Quiet quiet;
  if (Driver().cuCtxPushCurrent_v2(waiting->context) == CUDA_SUCCESS) Driver().cuCtxSynchronize();
  pthread_mutex_lock(&waiting->lock);
  waiting->ended = true;
  pthread_cond_signal(&waiting->done);
  pthread_mutex_unlock(&waiting->lock);
  waiting->Release();
  return nullptr;
}

}  // namespace

bool SynchronizeWithin(CUcontext context, uint64_t ms) {
  if (Driver().cuCtxSynchronize == nullptr || Driver().cuCtxPushCurrent_v2 == nullptr) return false;
  auto* const waiting = new Waiting{context};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the program's
  pthread_t thread;
  const bool started = pthread_create(&thread, nullptr, Synchronize, waiting) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) {
    delete waiting;
    return false;
  }
  pthread_detach(thread);
  timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += static_cast<time_t>(ms / 1000);
  pthread_mutex_lock(&waiting->lock);
  int error = 0;
  while (!waiting->ended && error == 0) {
    error = pthread_cond_timedwait(&waiting->done, &waiting->lock, &until);
  }
  const bool ended = waiting->ended;
  pthread_mutex_unlock(&waiting->lock);
  waiting->Release();
  return ended;
}

}  // namespace sextant::inject
