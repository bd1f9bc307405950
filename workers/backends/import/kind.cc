#include "workers/backends/import/kind.h"

#include <cctype>
#include <cstdint>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "client/include/sextant/detail/format.h"
#include "client/include/sextant/detail/scopes_format.h"
#include "workers/backends/formats/csv.h"

namespace sextant::backends::import {
namespace {

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool BeginsWith(std::string_view text, const char* magic, size_t size) {
  return text.size() >= size && std::memcmp(text.data(), magic, size) == 0;
}

uint32_t U32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

// u32 version 1, header_offset 4, header_bytes 40 + 4·units that record, …
bool IsProtonBuffer(std::string_view head) {
  return head.size() >= 40 && U32(head, 0) == 1 && U32(head, 4) == 4 && U32(head, 36) <= 4096 &&
         U32(head, 8) == 40 + 4 * U32(head, 36) && (U32(head, 20) == 1 || U32(head, 20) == 2);
}

// The events there are in the head; names of processes say whose they are.
Kind KindOfTraceEvents(std::string_view head) {
  if (Has(head, " Core") && Has(head, " CTA") && Has(head, "\"warp ")) return Kind::kProtonTrace;
  for (const char* own : {"\"deviceProperties\"", "\"baseTimeNanoseconds\"", "\"cuda_runtime\"",
                          "\"gpu_memcpy\"", "\"cpu_op\"", "\"External id\"", "\"registers per thread\""}) {
    if (Has(head, own)) return Kind::kKineto;
  }
  // Proton names no process there.
  if (Has(head, "\"call_stack\"") && !Has(head, "\"pid\"")) return Kind::kProtonHostTrace;
  return Kind::kChrome;
}

std::optional<Kind> KindOfJson(std::string_view head) {
  if (Has(head, "\"rocprofiler-sdk-tool\"")) return Kind::kRocprofJson;
  if (Has(head, "\"traceEvents\"")) return KindOfTraceEvents(head);
  if (head[0] == '[') {
    if (Has(head, "\"frame\"") && Has(head, "\"metrics\"")) return Kind::kHatchet;
    if (Has(head, "\"ph\"")) return KindOfTraceEvents(head);
    return std::nullopt;
  }
  const std::string_view line = head.substr(0, head.find('\n'));
  if (Has(line, "\"kernel_metadata\"") || (Has(line, "\"sass\"") && Has(line, "\"pc\""))) {
    return Kind::kCutracerTrace;
  }
  if (Has(line, "\"kind\"") && (Has(line, "\"process\"") || Has(line, "\"launch\""))) {
    return Kind::kProtonLog;
  }
  return std::nullopt;
}

std::optional<Kind> KindOfCsv(std::string_view head) {
  formats::CsvReader reader(head);
  // ncu prints its log before the page.
  std::string_view line;
  while (reader.rest().substr(0, 2) == "==" || reader.rest().substr(0, 1) == "\n") {
    if (!reader.SkipLine(&line)) break;
  }
  formats::CsvRow names;
  if (!reader.Next(&names) || names.size() < 3) return std::nullopt;
  for (std::string& name : names) name = absl::AsciiStrToLower(name);
  const formats::CsvHeader header(names);
  const auto has = [&header](const char* name) { return header.Find(name).has_value(); };
  if (has("warp_id") && has("region_id") && has("instruction")) return Kind::kCutracerHistogram;
  if (has("id") && has("kernel name") && has("metric name")) return Kind::kNcuDetails;
  if (has("id") && has("kernel name") && has("process id")) return Kind::kNcuRaw;
  if (has("counter_name") && has("counter_value")) return Kind::kRocprofCounters;
  if (has("direction") && has("start_timestamp")) return Kind::kRocprofCopies;
  if (has("kernel_name") && has("start_timestamp")) return Kind::kRocprofKernels;
  return std::nullopt;
}

}  // namespace

std::optional<Kind> KindOf(std::string_view head) {
  if (BeginsWith(head, SEXTANT_SCOPES_MAGIC, 7)) return Kind::kScopes;
  for (const char* magic :
       {SEXTANT_PROCESS_MAGIC, SEXTANT_THREAD_MAGIC, SEXTANT_COUNTERS_MAGIC}) {
    if (BeginsWith(head, magic, 7)) return Kind::kHost;
  }
  if (BeginsWith(head, "sxrec ", 6)) return Kind::kRecording;
  if (BeginsWith(head, "NVR\0", 4)) return Kind::kNcuReport;
  if (IsProtonBuffer(head)) return Kind::kProtonBuffer;
  if (BeginsWith(head, "\xef\xbb\xbf", 3)) head.remove_prefix(3);
  while (!head.empty() && isspace(static_cast<unsigned char>(head[0]))) head.remove_prefix(1);
  if (head.empty()) return std::nullopt;
  return head[0] == '{' || head[0] == '[' ? KindOfJson(head) : KindOfCsv(head);
}

const char* ToolOf(Kind kind) {
  switch (kind) {
    case Kind::kProtonTrace:
    case Kind::kProtonBuffer:
    case Kind::kProtonLog: return "proton";
    case Kind::kProtonHostTrace:
    case Kind::kHatchet: return "proton-host";
    case Kind::kNcuRaw:
    case Kind::kNcuDetails:
    case Kind::kNcuReport: return "ncu";
    case Kind::kCutracerHistogram:
    case Kind::kCutracerTrace: return "cutracer";
    case Kind::kRocprofKernels:
    case Kind::kRocprofCopies:
    case Kind::kRocprofCounters:
    case Kind::kRocprofJson: return "rocprofv3";
    case Kind::kKineto: return "kineto";
    case Kind::kChrome: return "chrome";
    case Kind::kScopes: return "scopes";
    case Kind::kHost: return "host";
    case Kind::kRecording: return "recording";
  }
  return "";
}

const char* Describe(Kind kind) {
  switch (kind) {
    case Kind::kProtonTrace: return "a Chrome trace of Proton inside kernels";
    case Kind::kProtonHostTrace: return "a Chrome trace of Proton's host side";
    case Kind::kProtonBuffer: return "a raw buffer of Proton";
    case Kind::kProtonLog: return "a list of launches";
    case Kind::kHatchet: return "a Hatchet tree of Proton";
    case Kind::kNcuRaw: return "the raw page of Nsight Compute";
    case Kind::kNcuDetails: return "the details page of Nsight Compute";
    case Kind::kNcuReport: return "a report of Nsight Compute";
    case Kind::kCutracerHistogram: return "a histogram of CUTracer";
    case Kind::kCutracerTrace: return "a trace of CUTracer";
    case Kind::kRocprofKernels: return "kernels of rocprofv3";
    case Kind::kRocprofCopies: return "copies of rocprofv3";
    case Kind::kRocprofCounters: return "counters of rocprofv3";
    case Kind::kRocprofJson: return "results of rocprofv3";
    case Kind::kKineto: return "a trace of PyTorch's profiler";
    case Kind::kChrome: return "a Chrome trace";
    case Kind::kScopes: return "scopes of CUDA kernels";
    case Kind::kHost: return "scopes of CPU threads";
    case Kind::kRecording: return "a recording of a pass";
  }
  return "";
}

}  // namespace sextant::backends::import
