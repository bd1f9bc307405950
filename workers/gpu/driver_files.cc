#include "workers/gpu/driver_files.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "workers/gpu/nvml.h"

namespace sextant::gpu {
namespace fs = std::filesystem;
namespace {

constexpr char kCuda[] = "libcuda.so.1";

// What CUDA programs and the profilers load of the driver, by the begin of the name.
constexpr const char* kLibraries[] = {"libcuda.so.",           "libcudadebugger.so.",
                                      "libnvidia-ml.so.",      "libnvidia-ptxjitcompiler.so.",
                                      "libnvidia-nvvm.so.",    "libnvidia-nvvm70.so.",
                                      "libnvidia-gpucomp.so.", "libnvidia-cfg.so.",
                                      "libnvidia-tileiras.so.", "libnvidia-sandboxutils.so."};

}  // namespace

DriverFiles FindDriverFiles(const fs::path& driver_root, const fs::path& beside,
                            const fs::path& linker_cache) {
  DriverFiles found;
  std::vector<fs::path> places = DriverLibraryPlaces(driver_root);
  if (!beside.empty()) places.insert(places.begin(), beside.parent_path());
  std::error_code error;
  for (const fs::path& place : places) {
    if (!fs::exists(place / kCuda, error)) continue;
    found.directory = place;
    break;
  }
  if (found.directory.empty()) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(found.directory, error)) {
    const std::string name = entry.path().filename();
    const bool drivers = std::any_of(std::begin(kLibraries), std::end(kLibraries),
                                     [&](const char* begin) { return absl::StartsWith(name, begin); });
    if (!drivers) continue;
    const fs::path file = fs::canonical(entry.path(), error);
    if (!error) found.libraries.push_back({file, name});
  }
  std::sort(found.libraries.begin(), found.libraries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  // The cache holds whole paths as text (ld.so.cache(5)).
  std::ifstream in(linker_cache, std::ios::binary);
  const std::string cache((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  found.in_linker_cache = absl::StrContains(cache, (found.directory / kCuda).string());
  return found;
}

}  // namespace sextant::gpu
