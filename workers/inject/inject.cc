// The library's entry: CUDA calls InitializeInjection from cuInit in every process whose
// environment names this library in CUDA_INJECTION64_PATH.
//
// Everything here lives until the process ends and is never destroyed: threads of the program, of
// CUDA and of CUPTI may run while it exits.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "workers/inject/instruments.h"

namespace sextant::inject {
namespace {

constexpr int kMaxRunning = 8;

// An instrument that runs, with what it works with.
struct Running {
  Running(const Instrument& running, const Options& options, const CuptiApi& cupti,
          Kernels& kernels, Modules& modules)
      : instrument(running), texts(file), session{options, cupti, nullptr, kernels,
                                                  modules, file,  texts} {}

  const Instrument& instrument;
  RecordFile file;
  Texts texts;
  Session session;
};

struct Library {
  Options options = Options::FromEnvironment();
  CuptiApi cupti;
  Kernels kernels;
  Modules modules{cupti};
  Running* running[kMaxRunning] = {};
  std::atomic<int> count{0};  // of `running`; they only grow
  std::atomic<bool> stopped{false};
};

Library* library = nullptr;

const Instrument* Find(const std::string& name) {
  for (const Instrument* instrument = kInstruments; instrument->name != nullptr; ++instrument) {
    if (name == instrument->name) return instrument;
  }
  return nullptr;
}

void WriteModule(Running& running, const LoadedModule& module) {
  running.file.Append(kModule, &module.record, sizeof(module.record));
  for (const LoadedModule::Kernel& kernel : module.kernels) {
    FunctionRecord record = kernel.record;
    record.name = running.texts.Id(kernel.name);
    running.file.Append(kFunction, &record, sizeof(record));
  }
}

void CUPTIAPI OnCallback(void*, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                         const void* data) {
  if (library->stopped.load(std::memory_order_acquire)) return;
  LoadedModule module;
  const bool loaded = library->modules.OnCallback(domain, id, data, &module);
  const int count = library->count.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) {
    Running& running = *library->running[i];
    if (running.file.header().state != kStarted) continue;
    Inside inside(running.file);
    if (loaded && running.instrument.wants_modules) WriteModule(running, module);
    if (loaded && running.instrument.on_module != nullptr) {
      running.instrument.on_module(running.session, module);
    }
    if (running.instrument.on_callback != nullptr) {
      running.instrument.on_callback(running.session, domain, id, data);
    }
  }
}

void Stop() {
  if (library->stopped.exchange(true)) return;
  const int count = library->count.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) {
    Running& running = *library->running[i];
    if (running.file.header().state != kStarted) continue;
    Inside inside(running.file);
    running.instrument.stop(running.session);
    running.file.SetState(kStopped);
  }
}

// CUDA cannot be used in a child of a process that has it started: there is nothing to record, and
// nothing of the parent's may be written.
void InForkedChild() {
  library->stopped = true;
  const int count = library->count.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) library->running[i]->file.ForkedChild();
}

void Add(const std::string& name) {
  const int count = library->count.load(std::memory_order_relaxed);
  if (count == kMaxRunning) return;
  const Instrument* const instrument = Find(name);
  static constexpr Instrument kUnknown = {.name = "unknown"};
  auto* const running =
      new Running(instrument != nullptr ? *instrument : kUnknown, library->options, library->cupti,
                  library->kernels, library->modules);
  running->file.Open(library->options.results().c_str(),
                     instrument != nullptr ? instrument->name : kUnknown.name);
  if (instrument == nullptr) running->file.Fail("SEXTANT_INJECT: no instrument \"" + name + "\"");
  library->running[count] = running;
  library->count.store(count + 1, std::memory_order_release);
}

// For all instruments that can still start.
template <typename Function>
void ForEach(Function&& function) {
  const int count = library->count.load(std::memory_order_relaxed);
  for (int i = 0; i < count; ++i) {
    Running& running = *library->running[i];
    if (running.file.header().state == kOpened) function(running);
  }
}

void Start() {
  std::string why;
  const bool filter = library->kernels.SetFilter(library->options.kernels(), &why);
  CUpti_SubscriberHandle subscriber = nullptr;
  bool cupti = filter && LoadCupti(library->options.cupti().c_str(), &library->cupti, &why);
  if (cupti) {
    const CUptiResult result = library->cupti.cuptiSubscribe(
        &subscriber, reinterpret_cast<CUpti_CallbackFunc>(OnCallback), nullptr);
    cupti = result == CUPTI_SUCCESS;
    if (!cupti) {
      why = std::string("cuptiSubscribe: ") + ResultText(library->cupti, result) +
            (result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED
                 ? "; the program, or another tool in it, uses CUPTI itself"
                 : "");
    }
  }
  bool modules = false;
  ForEach([&](Running& running) { modules |= running.instrument.wants_modules; });
  if (cupti && modules) library->modules.Enable(subscriber);
  ForEach([&](Running& running) {
    if (!cupti) return running.file.Fail(why);
    Inside inside(running.file);
    running.session.subscriber = subscriber;
    running.file.header().cupti_version = library->cupti.version;
    // Callbacks may come as soon as they are enabled.
    running.file.SetState(kStarted);
    running.instrument.start(running.session);
  });
}

// Called again while it works when CUPTI starts CUDA: the second call must not wait for the first.
void Initialize() {
  static std::atomic<bool> begun{false};
  if (begun.exchange(true)) return;
  library = new Library();
  if (library->options.instruments().empty() || library->options.results().empty()) return;
  for (const std::string& name : library->options.instruments()) Add(name);
  pthread_atfork(nullptr, nullptr, InForkedChild);
  Start();
  // Registered last, so it runs before what CUDA registered.
  atexit(Stop);
}

// NVTX calls a library named in NVTX_INJECTION64_PATH at the first mark or range; it is CUPTI that
// turns them into records, in the copy that this library uses.
int InitializeNvtx(const char* entry, void* get_export_table) {
  Initialize();
  if (library->cupti.library == nullptr) return 0;
  using Entry = int (*)(void*);
  const auto initialize = reinterpret_cast<Entry>(dlsym(library->cupti.library, entry));
  return initialize != nullptr ? initialize(get_export_table) : 0;
}

}  // namespace
}  // namespace sextant::inject

#define SEXTANT_EXPORT extern "C" __attribute__((visibility("default")))

SEXTANT_EXPORT int InitializeInjection(void) {
  sextant::inject::Initialize();
  return 1;
}

SEXTANT_EXPORT int InitializeInjectionNvtx(void* get_export_table) {
  return sextant::inject::InitializeNvtx("InitializeInjectionNvtx", get_export_table);
}

SEXTANT_EXPORT int InitializeInjectionNvtx2(void* get_export_table) {
  return sextant::inject::InitializeNvtx("InitializeInjectionNvtx2", get_export_table);
}
