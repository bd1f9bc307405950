// Which tool left a file, told from its content.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sextant::backends::import {

// One file of a tool. Those of one tool belong together (kind.cc).
enum class Kind {
  kProtonTrace,       // inside kernels, as Proton's Chrome trace
  kProtonHostTrace,   // kernels, likewise
  kProtonBuffer,      // raw buffer of one launch
  kProtonLog,         // which buffers there are (workers/backends/proton/launch_log.h)
  kHatchet,
  kNcuRaw,            // ncu --csv --page raw
  kNcuDetails,        // ncu --csv
  kNcuReport,         // .ncu-rep
  kCutracerHistogram,
  kCutracerTrace,
  kRocprofKernels,    // rocprofv3's CSV files
  kRocprofCopies,
  kRocprofCounters,
  kRocprofJson,
  kKineto,            // PyTorch's profiler
  kChrome,            // any other Chrome trace
  kScopes,            // sextant/scope.cuh
  kHost,              // sextant/scope.h
  kRecording,         // sextant-worker --record
};

// What is read of a file to tell. More than a tool writes before what is its own.
inline constexpr size_t kHeadBytes = 512 * 1024;

// `head`: the first kHeadBytes of the file, unpacked where it was gzipped. Absent: none of these.
std::optional<Kind> KindOf(std::string_view head);

// "proton", "proton-host", "ncu", "cutracer", "rocprofv3", "kineto", "chrome", "scopes", "host": what may be
// imported together. Also what option `kind` says.
const char* ToolOf(Kind kind);
// In words: "a Chrome trace of Proton".
const char* Describe(Kind kind);
// All tools, as an error lists them.
inline constexpr char kTools[] =
    "proton, proton-host, ncu, cutracer, rocprofv3, kineto, chrome, scopes, host";

}  // namespace sextant::backends::import
