#include "workers/backends/activity/labels.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "workers/inject/activity_format.h"

namespace sextant::backends::activity {
namespace {

// By CUpti_ActivityMemcpyKind: host, device, array, peer.
constexpr std::string_view kCopies[] = {"copy of unknown kind",
                                        "copy HtoD",
                                        "copy DtoH",
                                        "copy HtoA",
                                        "copy AtoH",
                                        "copy AtoA",
                                        "copy AtoD",
                                        "copy DtoA",
                                        "copy DtoD",
                                        "copy HtoH",
                                        "copy PtoP"};
constexpr std::string_view kWaits[] = {"wait of unknown kind", "wait for event",
                                       "stream waits for event", "wait for stream",
                                       "wait for context"};

}  // namespace

std::string_view CopyRegion(uint32_t kind) {
  if (kind == inject::kMemset) return "memset";
  if (kind == inject::kPeer) return kCopies[10];
  return kCopies[kind < std::size(kCopies) ? kind : 0];
}

std::string_view CopyName(uint32_t kind) {
  const std::string_view region = CopyRegion(kind);
  return region.starts_with("copy ") ? region.substr(5) : region;
}

std::string_view WaitRegion(uint32_t type) { return kWaits[type < std::size(kWaits) ? type : 0]; }

std::string_view ApiRegion(std::string_view name) {
  if (name.empty()) return "(unnamed call)";
  const size_t at = name.rfind("_v");
  if (at == std::string_view::npos || at + 2 == name.size()) return name;
  const std::string_view version = name.substr(at + 2);
  return std::all_of(version.begin(), version.end(), absl::ascii_isdigit) ? name.substr(0, at)
                                                                          : name;
}

bool IsLaunch(std::string_view api_region) {
  return api_region.find("Launch") != std::string_view::npos;
}

}  // namespace sextant::backends::activity
