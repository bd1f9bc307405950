// The instruments of the library: one source file each, listed in one table.
#pragma once

#include <cupti.h>

#include "workers/inject/cupti_api.h"
#include "workers/inject/kernels.h"
#include "workers/inject/modules.h"
#include "workers/inject/options.h"
#include "workers/inject/record_file.h"
#include "workers/inject/texts.h"

namespace sextant::inject {

// What an instrument works with. One for each instrument that runs; lives until the process ends.
struct Session {
  const Options& options;
  const CuptiApi& cupti;
  CUpti_SubscriberHandle subscriber;  // the process's only one; Enable() callbacks on it
  Kernels& kernels;                   // shared: names, numbers of launches
  Modules& modules;                   // shared: what code there is
  RecordFile& file;                   // the instrument's own
  Texts& texts;                       // names in that file

  // Asks for a callback. False after session.file.Fail(…) said why.
  bool Enable(CUpti_CallbackDomain domain, CUpti_CallbackId id);
  // OK, or the file fails with "<what>: CUPTI_ERROR_…".
  bool Check(CUptiResult result, const char* what);
};

// Hooks are called by whatever thread the program or CUPTI uses; they keep their own state in a
// pointer that is never freed, because threads may run on while the process exits.
struct Instrument {
  const char* name;
  // In InitializeInjection, inside cuInit: CUPTI works, CUDA calls do not yet. False: it could not
  // start, and session.file.Fail(…) has been called.
  bool (*start)(Session& session);
  // Once, at exit: write what is still held. CUDA may be half gone.
  void (*stop)(Session& session);
  // A callback that some instrument enabled; each looks for its own. May be null.
  void (*on_callback)(Session& session, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                      const void* data);
  // Its file gets kModule and kFunction frames for every cubin that is loaded.
  bool wants_modules;
  // A cubin was loaded, with its bytes. May be null.
  void (*on_module)(Session& session, const LoadedModule& module);
};

// The visible table, ended by a null name.
extern const Instrument kInstruments[];

// One declaration for each instrument's source file.
extern const Instrument kActivity;
extern const Instrument kIr;
extern const Instrument kCounters;
extern const Instrument kPcSampling;
extern const Instrument kSassMetrics;
extern const Instrument kPmSampling;

}  // namespace sextant::inject
