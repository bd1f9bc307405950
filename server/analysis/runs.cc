#include "server/analysis/runs.h"

#include <algorithm>
#include <map>
#include <utility>

#include "proto/status/status.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxRunsOfPass = 65536;
constexpr char kUnnamedRole[] = "all warps";

// Spread evenly over launches and CTAs, and the same every time.
uint64_t Draw(const RunKey& key) {
  uint64_t z = (uint64_t{key.launch} << 32 | key.cta) + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double NsPerUnit(const v1::ChunkHeader& header) {
  return header.unit() == v1::CYCLES ? header.ns_per_unit() : 1;
}

}  // namespace

absl::Status Runs::Scan(const v1::PassInfo& pass) {
  ASSIGN_OR_RETURN(const Table table, evidence_.Read(pass, "barriers"));
  ASSIGN_OR_RETURN(const BarrierRows rows, BarrierRows::Make(*table), "pass ", pass.pass_id());
  waits_ += rows.waits();
  signals_ += rows.signals();
  if (rows.waits() == 0) return absl::OkStatus();
  struct Seen {
    uint64_t end = 0;
    uint64_t events = 0;
  };
  absl::flat_hash_map<RunKey, Seen> seen;
  uint64_t mask = 0;
  double ns_per_unit = 1;
  RETURN_IF_ERROR(
      evidence_.ReadTrace(
          pass, {},
          [&](const chunk::Decoded& chunk) {
            ns_per_unit = NsPerUnit(chunk.header);
            for (const chunk::TrackSlice& slice : chunk.tracks) {
              const RunKey key{slice.track.launch, slice.track.cta};
              if ((Draw(key) & mask) != 0 || !evidence_.IsOfKernel(pass, key.launch) ||
                  !rows.Waits(key))
                continue;
              Seen& run = seen[key];
              run.events += slice.count;
              for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i)
                run.end = std::max(run.end, chunk.start[i] + chunk.duration[i]);
              while (seen.size() > kMaxRunsOfPass) {
                mask = mask * 2 + 1;
                left_out_ = true;
                absl::erase_if(seen, [&](const auto& one) { return (Draw(one.first) & mask) != 0; });
              }
            }
            return absl::OkStatus();
          }),
      "reading the trace of pass ", pass.pass_id());
  for (const auto& [key, run] : seen)
    spans_.push_back({.pass = &pass,
                      .key = key,
                      .span_ns = static_cast<double>(run.end) * ns_per_unit,
                      .ns_per_unit = ns_per_unit,
                      .events = run.events});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RecordedRun>> Runs::Read(const v1::PassInfo& pass,
                                                    absl::Span<const RunSpan> spans) {
  std::vector<RecordedRun> runs;
  absl::flat_hash_map<RunKey, size_t> at;
  std::vector<std::map<uint32_t, RunWarp>> warps(spans.size());
  for (const RunSpan& span : spans) {
    at[span.key] = runs.size();
    runs.push_back({span, {}});
  }
  RETURN_IF_ERROR(
      evidence_.ReadTrace(pass, {},
                          [&](const chunk::Decoded& chunk) {
                            std::vector<uint32_t> regions(chunk.header.regions_size(), UINT32_MAX);
                            for (const chunk::TrackSlice& slice : chunk.tracks) {
                              const auto found = at.find({slice.track.launch, slice.track.cta});
                              if (found == at.end()) continue;
                              RunWarp& warp = warps[found->second][slice.track.warp];
                              warp.warp = slice.track.warp;
                              const bool named = slice.track.role < static_cast<uint32_t>(chunk.header.roles_size());
                              const std::string role = named ? chunk.header.roles(static_cast<int>(slice.track.role)) : "";
                              warp.role = Intern(&names_.roles, &role_ids_, role.empty() ? kUnnamedRole : role);
                              warp.head_lost |= slice.track.from_tail || slice.track.dropped > 0;
                              for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
                                uint32_t& region = regions[chunk.region[i]];
                                if (region == UINT32_MAX)
                                  region = Intern(&names_.regions, &region_ids_,
                                                  chunk.header.regions(chunk.region[i]));
                                warp.regions.push_back({region, chunk.ordinal[i], chunk.start[i],
                                                        chunk.start[i] + chunk.duration[i]});
                              }
                            }
                            return absl::OkStatus();
                          }),
      "reading the trace of pass ", pass.pass_id());
  ASSIGN_OR_RETURN(const Table table, evidence_.Read(pass, "barriers"));
  ASSIGN_OR_RETURN(const BarrierRows rows, BarrierRows::Make(*table), "pass ", pass.pass_id());
  for (size_t i = 0; i < runs.size(); ++i) {
    rows.ForRun(
        runs[i].of.key,
        [&](std::string_view name) { return Intern(&names_.barriers, &barrier_ids_, name); },
        [&](uint32_t number, const RunMark& mark) {
          // Marks of warps without a track: these recorded no region that ended.
          const auto found = warps[i].find(number);
          if (found != warps[i].end()) found->second.marks.push_back(mark);
        });
    for (auto& [number, warp] : warps[i]) runs[i].warps.push_back(std::move(warp));
  }
  return runs;
}

uint32_t Runs::Intern(std::vector<std::string>* names, absl::flat_hash_map<std::string, uint32_t>* ids,
                      std::string_view name) {
  const auto [found, added] = ids->try_emplace(std::string(name), static_cast<uint32_t>(names->size()));
  if (added) names->emplace_back(name);
  return found->second;
}

}  // namespace sextant::analysis
