#include "workers/backends/injected/plan.h"

#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/chunk/chunk.h"
#include "workers/inject/kernels.h"

namespace sextant::backends::injected {
namespace {

constexpr char kLibrary[] = "libsextant_inject.so";

// Where a toolkit keeps CUPTI: as installed, and as from its wheels.
constexpr const char* kCuptiInToolkit[] = {
    "extras/CUPTI/lib64/libcupti.so.13", "lib64/libcupti.so.13", "lib/libcupti.so.13",
    "extras/CUPTI/lib64/libcupti.so.12", "lib64/libcupti.so.12"};

std::vector<std::string> CuptiOf(const Site& site) {
  std::vector<std::string> found;
  if (site.cuda.empty()) return found;
  for (const char* path : kCuptiInToolkit) {
    std::error_code error;
    if (std::filesystem::exists(site.cuda / path, error)) {
      found.push_back(absl::StrCat(kInsideToolkit, "/", path));
    }
  }
  return found;
}

std::string DigestOf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return absl::BytesToHexString(chunk::Digest(bytes.str()));
}

}  // namespace

v1::BackendOffer ProbeInjection(const Site& site, const std::string& name) {
  v1::BackendOffer offer;
  offer.set_name(name);
  offer.set_device_kind("gpu");
  const std::filesystem::path library = site.libraries / kLibrary;
  std::error_code error;
  if (site.libraries.empty() || !std::filesystem::is_regular_file(library, error)) {
    offer.set_reason(absl::StrCat(
        kLibrary, " is not at ", site.libraries.empty() ? "any place" : site.libraries.string(),
        ": this worker was built without CUDA's headers (deploy/cuda.sh headers)"));
    return offer;
  }
  offer.set_available(true);
  offer.set_tool_digest(DigestOf(library));
  if (CuptiOf(site).empty()) {
    offer.set_reason(
        "no CUDA toolkit with CUPTI here: only programs that bring CUPTI, as PyTorch does, can be "
        "looked into");
  } else {
    offer.add_features("cupti");
  }
  return offer;
}

absl::StatusOr<LaunchPlan> PlanInjection(const Site& site, const v1::Assignment& assignment,
                                         const std::string& instruments,
                                         const std::map<std::string, std::string>& options) {
  const v1::Workload& workload = assignment.workload();
  if (workload.argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  inject::Kernels kernels;
  std::string why;
  if (!kernels.SetFilter(workload.kernels(), &why)) {
    return absl::InvalidArgumentError(absl::StrCat("workload.kernels: \"", workload.kernels(),
                                                   "\" is no extended regular expression: ", why));
  }
  LaunchPlan plan;
  plan.argv.assign(workload.argv().begin(), workload.argv().end());
  const std::string library = absl::StrCat(kInsideLibraries, "/", kLibrary);
  plan.env["CUDA_INJECTION64_PATH"] = library;
  plan.env["NVTX_INJECTION64_PATH"] = library;
  plan.env["SEXTANT_INJECT"] = instruments;
  plan.env["SEXTANT_INJECT_OPTIONS"] = absl::StrJoin(options, ";", absl::PairFormatter("="));
  plan.env["SEXTANT_RESULTS"] = kInsideResults;
  plan.env["SEXTANT_KERNELS"] = workload.kernels();
  plan.env["SEXTANT_CUPTI"] = absl::StrJoin(CuptiOf(site), ":");
  plan.mounts.push_back({site.libraries.string(), kInsideLibraries, false});
  if (!site.cuda.empty()) plan.mounts.push_back({site.cuda.string(), kInsideToolkit, false});
  return plan;
}

absl::StatusOr<bool> ParseSwitch(const std::string& option, const std::string& value) {
  if (value == "0" || value == "1") return value == "1";
  return absl::InvalidArgumentError(
      absl::StrCat("options[\"", option, "\"]: \"", value, "\" is neither 0 nor 1"));
}

absl::Status NoSuchOption(const std::string& backend, const std::string& option,
                          const std::string& known) {
  return absl::InvalidArgumentError(absl::StrCat("options[\"", option, "\"]: backend \"", backend,
                                                 "\" has no such option; it has ", known));
}

}  // namespace sextant::backends::injected
