#include "workers/backends/ncu/log.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/formats/lines.h"

namespace sextant::backends::ncu {
namespace {

constexpr size_t kMaxLines = 16;
constexpr size_t kMaxLineBytes = 500;

void Keep(std::string_view line, std::vector<std::string>& lines) {
  if (lines.size() < kMaxLines) lines.push_back(chunk::CleanName(line, kMaxLineBytes));
}

// What follows `prefix`, or nothing.
bool After(std::string_view line, std::string_view prefix, std::string_view* rest) {
  if (line.substr(0, prefix.size()) != prefix) return false;
  *rest = line.substr(prefix.size());
  return true;
}

bool Has(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

bool IsUnsupported(const std::string& error) {
  for (const char* words : {"not compatible", "not supported", "Unsupported", "LibraryNotLoaded",
                            "did not match any section", "Failed to find metric", "requires driver",
                            "Failed to initialize the profiler"}) {
    if (absl::StrContains(error, words)) return true;
  }
  return false;
}

}  // namespace

Log ParseLogUntrusted(std::string_view text) {
  Log log;
  bool listing = false;
  formats::ForEachLine(text, [&](std::string_view line) {
    std::string_view rest;
    if (After(line, "==ERROR== ", &rest)) {
      if (!Has(rest, "The application returned an error code")) Keep(rest, log.errors);
    } else if (After(line, "==WARNING== ", &rest)) {
      if (Has(rest, "No kernels were profiled")) {
        log.none_profiled = true;
      } else if (!Has(rest, "unmodified GPU clocks")) {
        Keep(rest, log.warnings);
      }
    } else if (After(line, "==PROF== Connected", &rest)) {
      log.connected = true;
    } else if (line == "Available Kernels:") {
      listing = true;
    } else if (listing) {
      const size_t name = line.find(". ");
      if (name == std::string_view::npos) {
        listing = false;
      } else {
        Keep(line.substr(name + 2), log.available);
      }
    }
  });
  return log;
}

absl::Status WhyNothing(const Log& log, const std::string& kernels) {
  for (const std::string& error : log.errors) {
    if (absl::StrContains(error, "ERR_NVGPUCTRPERM")) {
      return WithRemedy(
          absl::PermissionDeniedError(
              absl::StrCat("the driver keeps performance counters for administrators: ", error)),
          "load the driver with NVreg_RestrictProfilingToAdminUsers=0 (a line \"options nvidia "
          "NVreg_RestrictProfilingToAdminUsers=0\" in /etc/modprobe.d, then reboot)");
    }
  }
  for (const std::string& error : log.errors) {
    if (IsUnsupported(error)) {
      return WithRemedy(absl::UnimplementedError(absl::StrCat("ncu cannot do this here: ", error)),
                        "`ncu --query-metrics` and `ncu --list-sections` on the worker list what "
                        "there is; a GPU or "
                        "driver that is newer than ncu needs a newer Nsight Compute");
    }
  }
  // A program that ncu cannot start is the program's own fault, and its exit report says so.
  if (!log.errors.empty() && !absl::StrContains(log.errors[0], "is not an executable")) {
    return absl::UnavailableError(absl::StrCat("ncu failed: ", absl::StrJoin(log.errors, "; ")));
  }
  if (!log.errors.empty()) return absl::FailedPreconditionError(log.errors[0]);
  if (!log.connected) {
    return WithRemedy(
        absl::FailedPreconditionError("nothing was profiled: no process of the program used CUDA"),
        "check that the program reached its kernels (`sextant logs`)");
  }
  if (!kernels.empty() && !log.available.empty()) {
    return WithRemedy(
        absl::FailedPreconditionError(absl::StrCat(
            "nothing was profiled: no kernel matches \"", chunk::CleanName(kernels, 200),
            "\", or launch_skip passes over all; the program launched ",
            absl::StrJoin(log.available, "; "))),
        "correct the workload's kernels: a regular expression of ncu's demangled names");
  }
  return WithRemedy(absl::FailedPreconditionError(absl::StrCat(
                        "nothing was profiled: the program launched no kernel",
                        log.available.empty() ? "" : " after launch_skip; it launched ",
                        absl::StrJoin(log.available, "; "))),
                    "check that the program reached its kernels (`sextant logs`)");
}

}  // namespace sextant::backends::ncu
