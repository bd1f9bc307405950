// What recorders' files hold, by the importer of the `scopes` backend, for the benchmarks of GPUs.
//
//   scopes_regions FILE…
//
// Prints JSON: {"kernel":…,"clock_hz":…,"launches":…,"warps":…,"events":…,"signals":…,"dropped":…,"notes":[…],
// "regions":{NAME:{"count":…,"p20":…,"p50":…,"p80":…}}} with durations in cycles.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "workers/backends/scopes/importer.h"

int main(int argc, char** argv) {
  sextant::backends::scopes::ScopesImporter importer(0);
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const absl::Status status =
        importer.Add({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    if (!status.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[i], std::string(status.message()).c_str());
      return 1;
    }
  }
  const auto imported = importer.Finish();
  std::map<std::string, std::vector<uint64_t>> durations;
  for (const auto& instance : imported.instances) {
    durations[imported.trace.regions[instance.region]].push_back(instance.duration);
  }
  std::set<uint32_t> launches;
  for (const auto& track : imported.trace.tracks) launches.insert(track.launch);
  uint64_t signals = 0;
  for (const auto& table : imported.tables) {
    const auto* const kind = sextant::table::Find(table, "kind");
    if (table.name() != "barriers" || kind == nullptr) continue;
    for (uint64_t row = 0; row < table.rows(); ++row) {
      signals += sextant::table::TextAt(*kind, row) == "signal";
    }
  }
  nlohmann::ordered_json out = {{"kernel", imported.trace.kernel},
                                {"clock_hz", imported.clock_hz},
                                {"launches", launches.size()},
                                {"warps", imported.warps},
                                {"events", imported.instances.size()},
                                {"signals", signals},
                                {"dropped", imported.dropped},
                                {"notes", imported.notes},
                                {"regions", nlohmann::ordered_json::object()}};
  for (auto& [name, values] : durations) {
    std::sort(values.begin(), values.end());
    const auto at = [&v = values](double q) {
      return v[static_cast<size_t>(q * static_cast<double>(v.size() - 1) + 0.5)];
    };
    out["regions"][name] = {
        {"count", values.size()}, {"p20", at(0.2)}, {"p50", at(0.5)}, {"p80", at(0.8)}};
  }
  std::printf("%s\n", out.dump().c_str());
  return 0;
}
