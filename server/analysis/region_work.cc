#include "server/analysis/region_work.h"

#include <utility>

#include "proto/status/status.h"
#include "server/analysis/instruction_work.h"
#include "server/analysis/region_map.h"

namespace sextant::analysis {

absl::StatusOr<std::vector<RegionWork>> ReadRegionWork(const Evidence& evidence, const std::vector<std::string>& names,
                                                       std::string* why) {
  v1::Basis unsaid;   // the caller says what its own question is
  ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence, "", &unsaid));
  ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence, "", &unsaid));
  std::vector<RegionWork> all;
  if (code == nullptr || counts.empty()) {
    *why = code == nullptr ? "no pass kept the kernel's code" : "no pass counted executions of its instructions";
    return all;
  }
  ASSIGN_OR_RETURN(const RegionMap map, ReadRegionMap(evidence, names, code.get(), counts, {}, &unsaid));
  if (map.by == RegionsBy::kNothing) *why = "which instructions belong to them is not known";
  std::map<std::pair<std::string, std::string>, RegionWork> by_name;
  const auto name = [&](int32_t region) { return region < 0 ? "" : map.regions[static_cast<size_t>(region)].name; };
  for (const auto& [pc, count] : counts) {
    const auto at = map.at.find(pc);
    const uint32_t index = code->function.At(pc);
    if (at == map.at.end() || at->second.innermost < 0 || index >= code->function.code.size()) continue;
    const InstructionWork one = WorkOf(code->function.code[index]);
    const double threads = count.threads - count.predicated_off;
    for (int32_t region = at->second.innermost; region >= 0; region = map.regions[static_cast<size_t>(region)].parent) {
      RegionWork& work = by_name[{name(region), name(map.regions[static_cast<size_t>(region)].parent)}];
      if (!one.type.empty()) work.flop[std::string(one.type)] += one.flop_of_thread * threads + one.flop_of_warp * count.executed;
      work.bytes += one.bytes_of_thread * threads;
      work.bulk_copies |= one.bulk_copy && count.executed > 0;
    }
  }
  for (auto& [key, work] : by_name) {
    std::tie(work.region, work.parent) = key;
    work.by_lines = map.by == RegionsBy::kLines;
    all.push_back(std::move(work));
  }
  return all;
}

}  // namespace sextant::analysis
