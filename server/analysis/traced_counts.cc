#include "server/analysis/traced_counts.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/columns.h"

namespace sextant::analysis {
namespace {

constexpr char kQuestion[] = "what regions execute, by CUTracer";
constexpr double kChecksumConfidence = 0.7;   // CUTracer's checksum is not the digest of other passes
constexpr double kMinMatched = 0.9;           // of warps whose pairs are as many as their instances

using WarpKey = std::tuple<int64_t, int64_t, int64_t>;   // launch (in order of its pass), CTA, warp

struct Pair {
  double instructions = 0;
  std::map<std::string, double> mix;
};

struct Traced {
  std::map<WarpKey, std::map<int64_t, Pair>> warps;   // by ordinal
  std::set<std::string> checksums;
};

// Launches of the kernel are numbered in their order, because passes number all launches.
absl::StatusOr<Traced> ReadPairs(const Evidence& evidence, const v1::PassInfo& pass, int64_t warps_per_cta) {
  Traced traced;
  ASSIGN_OR_RETURN(const Table read, evidence.Read(pass, "instructions"));
  const v1::DataTable& table = *read;
  const TextColumn kernel(table, "kernel"), checksum(table, "checksum"), opcode(table, "opcode");
  const NumberColumn launch(table, "launch"), cta(table, "cta"), warp(table, "warp"), ordinal(table, "ordinal"),
      count(table, "count");
  if (!kernel) return traced;
  const auto is = kernel.Words([&](absl::string_view word) { return evidence.IsKernel(word); });
  std::map<int64_t, int64_t> order;
  for (uint64_t row = 0; row < table.rows(); ++row)
    if (is[kernel.Word(row)] && launch[row] >= 0) order[static_cast<int64_t>(launch[row])];
  int64_t next = 0;
  for (auto& [number, index] : order) index = next++;
  for (uint64_t row = 0; row < table.rows(); ++row) {
    if (!is[kernel.Word(row)] || !(launch[row] >= 0) || !(warp[row] >= 0) || !(ordinal[row] >= 0)) continue;
    if (!checksum[row].empty()) traced.checksums.emplace(checksum[row]);
    int64_t in = static_cast<int64_t>(cta[row]), w = static_cast<int64_t>(warp[row]);
    if (in < 0) {
      in = w / warps_per_cta;
      w %= warps_per_cta;
    }
    Pair& pair = traced.warps[{order[static_cast<int64_t>(launch[row])], in, w}][static_cast<int64_t>(ordinal[row])];
    pair.instructions += count.Positive(row);
    pair.mix[opcode[row].empty() ? "unknown" : std::string(opcode[row])] += count.Positive(row);
  }
  return traced;
}

struct Recorded {
  std::string role;
  std::vector<std::pair<uint64_t, std::string>> instances;   // start, region
};

}  // namespace

absl::StatusOr<TracedCounts> ReadTracedCounts(const Evidence& evidence, const RegionTimes& times, bool better,
                                              v1::Basis* basis) {
  TracedCounts out;
  if (better || times.regions.empty()) return out;
  v1::Basis aside;
  const PassList tracers =
      evidence.Take({"cutracer"}, {.used_for = "instructions", .same_code = false, .table = "instructions"}, &aside);
  if (tracers.empty()) return out;
  for (const auto& [key, time] : times.regions)
    if (!key.parent.empty()) {
      evidence.Abstain(kQuestion, absl::StrCat("region ", key.region, " is nested in ", key.parent,
                                               ", and CUTracer pairs clock reads without nesting"),
                       "sassmetrics", basis);
      return out;
    }
  const PassList timers = evidence.Take({"proton", "scopes"}, {.same_code = false, .trace = true}, &aside);
  if (timers.empty()) return out;
  // The warps of a CTA, where CUTracer numbers warps over the grid.
  const Evidence::LaunchRow launch = evidence.AnyLaunch();
  double threads = 0;
  if (launch.pass != nullptr)
    threads = NumberColumn(*launch.launches, "block_x").Positive(launch.row) *
              NumberColumn(*launch.launches, "block_y").Positive(launch.row) *
              NumberColumn(*launch.launches, "block_z").Positive(launch.row);
  if (!(threads > 0)) {
    evidence.Abstain(kQuestion, "no pass tells how many warps a CTA has", "activity", basis);
    return out;
  }
  ASSIGN_OR_RETURN(const Traced traced,
                   ReadPairs(evidence, *tracers.front(), static_cast<int64_t>((threads + 31) / 32)));
  if (traced.checksums.size() > 1) {
    evidence.Abstain(kQuestion, absl::StrCat("CUTracer saw ", traced.checksums.size(), " codes of the kernel"), "", basis);
    return out;
  }

  std::map<WarpKey, Recorded> recorded;
  std::map<uint32_t, int64_t> order;   // launches of the kernel in the recording
  RETURN_IF_ERROR(evidence.ReadTrace(*timers.front(), {}, [&](const chunk::Decoded& chunk) {
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      if (slice.count == 0 || !evidence.IsOfKernel(*timers.front(), slice.track.launch)) continue;
      const int64_t number = order.try_emplace(slice.track.launch, static_cast<int64_t>(order.size())).first->second;
      Recorded& warp = recorded[{number, slice.track.cta, slice.track.warp}];
      warp.role = LaneName(chunk.header, slice.track);
      if (const auto role = times.role_of.find(warp.role); role != times.role_of.end()) warp.role = role->second;
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i)
        warp.instances.emplace_back(chunk.start[i], chunk.header.regions(static_cast<int>(chunk.region[i])));
    }
    return absl::OkStatus();
  }));
  size_t matched = 0, seen = 0;
  std::set<int64_t> launches;
  for (auto& [key, warp] : recorded) {
    const auto found = traced.warps.find(key);
    if (found == traced.warps.end()) continue;
    ++seen;
    launches.insert(std::get<0>(key));
    std::stable_sort(warp.instances.begin(), warp.instances.end());
    std::vector<const Pair*> pairs;
    for (const auto& [ordinal, pair] : found->second) pairs.push_back(&pair);
    // The recording may have lost its head; it cannot have more than there were.
    if (warp.instances.size() > pairs.size() || (warp.instances.size() < pairs.size() && times.dropped == 0)) continue;
    ++matched;
    for (size_t back = 0; back < warp.instances.size(); ++back) {
      const std::string& region = warp.instances[warp.instances.size() - 1 - back].second;
      const Pair& pair = *pairs[pairs.size() - 1 - back];
      for (const int32_t row : {-1, static_cast<int32_t>(std::get<2>(key))}) {
        const RegionKey at = {warp.role, region, "", row};
        if (!times.regions.contains(at)) continue;
        TracedCount& count = out.regions[at];
        count.instructions += pair.instructions;
        for (const auto& [opcode, number] : pair.mix) count.mix[opcode] += number;
      }
    }
  }
  if (seen == 0 || static_cast<double>(matched) < kMinMatched * static_cast<double>(seen)) {
    out.regions.clear();
    evidence.Abstain(kQuestion,
                     seen == 0 ? "CUTracer and the recording have no warp in common"
                               : absl::StrCat("of ", seen, " warps ", seen - matched,
                                              " have not as many pairs of clock reads as instances: the kernel reads the clock "
                                              "for itself, or the codes differ"),
                     "sassmetrics", basis);
    return out;
  }
  for (auto& [key, count] : out.regions) {
    count.instructions /= static_cast<double>(launches.size());
    for (auto& [opcode, number] : count.mix) number /= static_cast<double>(launches.size());
  }
  for (v1::PassSet& set : *aside.mutable_passes())
    if (set.used_for() == "instructions") *basis->add_passes() = std::move(set);
  out.confidence = kChecksumConfidence * static_cast<double>(matched) / static_cast<double>(seen);
  out.why = absl::StrFormat("joined by ordinal from the tail in %d of %d warps; CUTracer's checksum of the code cannot be "
                            "compared with the digest of other passes",
                            matched, seen);
  return out;
}

}  // namespace sextant::analysis
