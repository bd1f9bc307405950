#include "server/analysis/region_costs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/kernel_metrics.h"
#include "server/analysis/quantile.h"
#include "server/analysis/region_map.h"
#include "server/analysis/region_times.h"
#include "server/analysis/traced_counts.h"

namespace sextant::analysis {
namespace {

constexpr char kQuestion[] = "what regions execute";
constexpr double kAgrees = 0.02;          // instances recorded and begins executed differ by less: the same
constexpr double kSharedConfidence = 0.5; // several roles run one code: who executed what is not known

// Of a region as the code has it, per launch.
struct CodeCost {
  double instructions = 0, exclusive = 0, doubtful = 0;
  double begins = 0;              // executions of its begins; 0: not known
  double threads = 0, off = 0;    // exclusive
  std::map<std::string, double> mix, stalls;
  std::vector<std::string> code;
};
using ByName = std::map<std::pair<std::string, std::string>, CodeCost>;   // (region, parent)

// What the counters and the sampler say of regions by name.
class CodeCosts {
 public:
  CodeCosts(const RegionMap& map, const std::map<uint64_t, PcCount>& counts, const std::map<uint64_t, PcSamples>& samples)
      : map_(map) {
    const auto name = [&](int32_t region) { return region < 0 ? "" : map.regions[static_cast<size_t>(region)].name; };
    // Rows of the same name and parent, under whatever lies above, are one.
    for (const RegionMap::Region& one : map.regions)
      rows_.push_back(one.reached ? &by_name_[{one.name, name(one.parent)}] : nullptr);
    for (const auto& [pc, count] : counts) AddCount(pc, count);
    for (const auto& [pc, sample] : samples) {
      CodeCost* const cost = Row(At(pc).innermost);
      if (cost == nullptr) continue;
      for (const auto& [stall, number] : sample.by_stall) cost->stalls[stall] += number;
    }
    for (size_t region = 0; region < rows_.size(); ++region) {
      if (rows_[region] == nullptr) continue;
      for (const uint64_t begin : map.regions[region].begins)
        if (const auto count = counts.find(begin); count != counts.end()) rows_[region]->begins += count->second.executed;
      for (const std::string& code : map.regions[region].code)
        if (auto& all = rows_[region]->code; std::find(all.begin(), all.end(), code) == all.end()) all.push_back(code);
    }
  }

  const ByName& by_name() const { return by_name_; }

 private:
  RegionMap::At At(uint64_t pc) const {
    const auto found = map_.at.find(pc);
    return found == map_.at.end() ? RegionMap::At() : found->second;
  }
  CodeCost* Row(int32_t region) const { return region < 0 ? nullptr : rows_[static_cast<size_t>(region)]; }

  void AddCount(uint64_t pc, const PcCount& count) {
    const RegionMap::At at = At(pc);
    for (int32_t region = at.innermost; region >= 0; region = map_.regions[static_cast<size_t>(region)].parent)
      if (CodeCost* const cost = Row(region); cost != nullptr) cost->instructions += count.executed;
    for (const int32_t region : at.doubtful)
      if (CodeCost* const cost = Row(region); cost != nullptr && !map_.IsWithin(at.innermost, region))
        cost->doubtful += count.executed;
    CodeCost* const cost = Row(at.innermost);
    if (cost == nullptr) return;
    cost->exclusive += count.executed;
    cost->threads += count.threads;
    cost->off += count.predicated_off;
    cost->mix[at.recording ? "recording" : count.opcode_class.empty() ? "unknown" : count.opcode_class] += count.executed;
  }

  const RegionMap& map_;
  std::vector<CodeCost*> rows_;   // by region; null: no way through the code opens it
  ByName by_name_;
};

void Doubt(double confidence, const std::string& why, v1::RegionCost* row) {
  row->set_confidence(row->confidence() * confidence);
  row->set_why(row->why().empty() ? why : absl::StrCat(row->why(), "; ", why));
}

class Builder {
 public:
  Builder(const Evidence& evidence, const v1::GetRegionCostsRequest& request)
      : evidence_(evidence), by_warp_(request.by_warp()) {}

  absl::StatusOr<v1::RegionCosts> Build() {
    v1::Basis* const basis = out_.mutable_basis();
    evidence_.Begin(basis);
    RETURN_IF_ERROR(ReadTimes());
    ASSIGN_OR_RETURN(auto counts, ReadCounts(evidence_, kQuestion, basis));
    ASSIGN_OR_RETURN(const auto samples, ReadSamples(evidence_, "why warps of regions stand still", basis));
    ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence_, "which instructions belong to which region", basis));
    if (code != nullptr) NameByCode(*code, &counts);
    ASSIGN_OR_RETURN(const auto metrics, KernelMetrics::Read(evidence_, basis));
    OfKernel(counts, samples, metrics);
    ASSIGN_OR_RETURN(map_, ReadRegionMap(evidence_, times_.names, code.get(), counts, samples, basis));
    // Times of other code are joined by name and line alone: its instructions lie elsewhere.
    joined_ = !times_.other_code || map_.by == RegionsBy::kLines;
    std::optional<CodeCosts> costs;
    if (map_.by != RegionsBy::kNothing) costs.emplace(map_, counts, samples);
    SayCodes();
    ASSIGN_OR_RETURN(const TracedCounts traced,
                     ReadTracedCounts(evidence_, times_, !counts.empty() && costs && !costs->by_name().empty(), basis));
    AddRows(counts, costs ? &costs->by_name() : nullptr, traced);
    return std::move(out_);
  }

 private:
  absl::Status ReadTimes() {
    v1::Basis* const basis = out_.mutable_basis();
    ASSIGN_OR_RETURN(times_, ReadRegionTimes(evidence_, by_warp_, basis));
    if (times_.passes == 0)
      evidence_.Abstain("how long regions take", "no pass recorded regions of this kernel", "scopes*5", basis);
    if (times_.dropped > 0)
      basis->add_notes(absl::StrCat(times_.dropped, " records of regions were lost; their instances are counted where the "
                                    "code tells how many there were"));
    if (times_.recorded_share < 1)
      basis->add_notes(absl::StrFormat("%.1f %% of the CTAs were recorded; totals are scaled to all of them",
                                       100 * times_.recorded_share));
    return absl::OkStatus();
  }

  // What times and counts of different code mean together.
  void SayCodes() {
    if (!times_.other_code) return;
    v1::Basis* const basis = out_.mutable_basis();
    if (!joined_)
      return basis->add_notes("the passes that timed regions ran other code than the passes that counted instructions: times "
                              "and counts are not joined");
    basis->add_notes(absl::StrCat(
        "instructions and samples are of the clean code, cycles of code that records regions",
        times_.lengthened > 0 ? absl::StrFormat(", whose launches took %.2f times as long", times_.lengthened)
                              : "; how much longer it takes is not known",
        ": an IPC is the one over the other"));
  }

  void OfKernel(const std::map<uint64_t, PcCount>& counts, const std::map<uint64_t, PcSamples>& samples,
                const KernelMetrics& metrics) {
    std::map<std::string, double> mix, stalls;
    double executed = 0;
    for (const auto& [pc, count] : counts) {
      executed += count.executed;
      mix[count.opcode_class.empty() ? "unknown" : count.opcode_class] += count.executed;
    }
    for (const auto& [pc, sample] : samples)
      for (const auto& [stall, number] : sample.by_stall) stalls[stall] += number;
    kernel_instructions_ = counts.empty() ? metrics.Value("smsp__inst_executed.sum") : executed;
    out_.set_kernel_instructions(kernel_instructions_);
    out_.set_kernel_ipc(metrics.Value("sm__inst_executed.avg.per_cycle_active"));
    if (std::isnan(out_.kernel_ipc()))
      evidence_.Abstain("instructions a cycle of an SM", "no pass counted it", "counters:set=ipc", out_.mutable_basis());
    for (v1::NamedShare& one : Shares(mix)) *out_.add_mix() = std::move(one);
    for (v1::NamedShare& one : Shares(stalls)) *out_.add_stalls() = std::move(one);
  }

  void AddRows(const std::map<uint64_t, PcCount>& counts, const ByName* code, const TracedCounts& traced) {
    std::map<std::pair<std::string, std::string>, double> all;   // instances of all roles
    std::map<std::pair<std::string, std::string>, int> runners;  // roles and, asked for, warps
    for (const auto& [key, time] : times_.regions) {
      if (key.warp >= 0) continue;
      all[{key.region, key.parent}] += static_cast<double>(time.instances);
      ++runners[{key.region, key.parent}];
    }
    std::set<std::pair<std::string, std::string>> timed;
    std::vector<v1::RegionCost> rows;
    for (const auto& [key, time] : times_.regions) {
      const std::pair<std::string, std::string> name = {key.region, key.parent};
      timed.insert(name);
      v1::RegionCost row;
      row.set_role(key.role);
      row.set_region(key.region);
      row.set_parent(key.parent);
      row.set_warp(key.warp);
      row.set_confidence(1);
      const double share = static_cast<double>(time.instances) / all[name];
      const CodeCost* cost = nullptr;
      if (code != nullptr && joined_)
        if (const auto found = code->find(name); found != code->end()) cost = &found->second;
      Times(time, cost, share, &row);
      Counts(key, counts, cost, share, runners[name] > 1 || key.warp >= 0, traced, &row);
      const auto span = times_.spans.find({key.role, key.warp});
      row.set_time_share(span == times_.spans.end() ? NAN : time.cycles_exclusive / span->second);
      if (!times_.cycles) NoCycles(&row);
      rows.push_back(std::move(row));
    }
    // Regions that the code has and no trace: their instructions are known all the same.
    if (code != nullptr && !counts.empty())
      for (const auto& [name, cost] : *code) {
        if (timed.contains(name) || !(cost.instructions > 0)) continue;
        v1::RegionCost row;
        row.set_region(name.first);
        row.set_parent(name.second);
        row.set_warp(-1);
        row.set_confidence(1);
        Untimed(&row);
        FromCode(cost, 1, &row);
        row.set_instances(static_cast<uint64_t>(std::llround(cost.begins)));
        if (!times_.regions.empty()) Doubt(1, "no pass recorded it", &row);
        rows.push_back(std::move(row));
      }
    Sort(&rows);
    for (v1::RegionCost& row : rows) *out_.add_regions() = std::move(row);
  }

  void Times(const RegionTime& time, const CodeCost* cost, double share, v1::RegionCost* row) {
    std::vector<double> durations = time.durations;
    for (const double value : Quantiles(&durations, evidence_.quantiles())) row->add_cycles(value);
    const double recorded =
        static_cast<double>(time.instances) / std::max<double>(1, static_cast<double>(times_.launches)) / times_.recorded_share;
    double instances = recorded;
    // Where records were lost the code tells how often the region began.
    if (cost != nullptr && cost->begins > 0) {
      const double executed = cost->begins * share;
      const double ratio = std::min(recorded, executed) / std::max(recorded, executed);
      if (ratio < 1 - kAgrees) {
        if (times_.dropped > 0 && executed > recorded) {
          instances = executed;
          Doubt(std::max(ratio, 0.5), absl::StrFormat("%.0f of %.0f instances a launch were recorded", recorded, executed), row);
        } else {
          Doubt(ratio, absl::StrFormat("a launch began it %.0f times where counted, %.0f times where timed", executed, recorded),
                row);
        }
      }
    }
    const double scale = time.instances == 0 ? 0 : instances / static_cast<double>(time.instances);
    row->set_instances(static_cast<uint64_t>(std::llround(instances)));
    row->set_cycles_total(time.cycles * scale);
    row->set_cycles_exclusive(time.cycles_exclusive * scale);
  }

  static void Untimed(v1::RegionCost* row) {
    row->set_cycles_total(NAN);
    row->set_cycles_exclusive(NAN);
    row->set_ipc(NAN);
    row->set_ipc_exclusive(NAN);
    row->set_time_share(NAN);
  }

  static void NoCycles(v1::RegionCost* row) {
    row->clear_cycles();
    Untimed(row);
    Doubt(1, "its trace is in ns, not in cycles", row);
  }

  static void Unknown(const std::string& why, v1::RegionCost* row) {
    row->set_instructions(NAN);
    row->set_instructions_exclusive(NAN);
    row->set_ipc(NAN);
    row->set_ipc_exclusive(NAN);
    row->set_issue_share(NAN);
    row->set_predicated_off_share(NAN);
    row->set_confidence(0);
    row->set_why(row->why().empty() ? why : absl::StrCat(row->why(), "; ", why));
  }

  void FromCode(const CodeCost& cost, double share, v1::RegionCost* row) {
    row->set_source(map_.by == RegionsBy::kLines ? "sassmetrics by source line" : "sassmetrics by PC range");
    row->set_instructions(cost.instructions * share);
    row->set_instructions_exclusive(cost.exclusive * share);
    row->set_issue_share(kernel_instructions_ > 0 ? row->instructions_exclusive() / kernel_instructions_ : NAN);
    row->set_predicated_off_share(cost.threads > 0 ? cost.off / cost.threads : NAN);
    for (v1::NamedShare& one : Shares(cost.mix)) {
      one.set_value(one.value() * share);
      *row->add_mix() = std::move(one);
    }
    AddCode(cost, share, row);
    if (map_.confidence < 1) Doubt(map_.confidence, map_.why, row);
    if (cost.doubtful > 0)
      Doubt(cost.instructions / (cost.instructions + cost.doubtful),
            absl::StrFormat("%.0f more instructions a launch may belong to it: %s", cost.doubtful,
                            map_.by == RegionsBy::kLines ? "their lines are in several regions, or inlined in several"
                                                         : "ways that meet in the code disagree"),
            row);
  }

  static void AddCode(const CodeCost& cost, double share, v1::RegionCost* row) {
    for (v1::NamedShare& one : Shares(cost.stalls)) {
      one.set_value(one.value() * share);
      *row->add_stalls() = std::move(one);
    }
    for (const std::string& code : cost.code) row->add_code(code);
  }

  void Counts(const RegionKey& key, const std::map<uint64_t, PcCount>& counts, const CodeCost* cost, double share,
              bool shared, const TracedCounts& traced, v1::RegionCost* row) {
    if (!joined_) return Unknown("the timed code is not the counted one", row);
    if (const auto found = traced.regions.find(key); found != traced.regions.end()) {
      const TracedCount& one = found->second;
      row->set_source("cutracer by ordinal");
      row->set_instructions(one.instructions);
      row->set_instructions_exclusive(one.instructions);
      row->set_issue_share(kernel_instructions_ > 0 ? one.instructions / kernel_instructions_ : NAN);
      row->set_predicated_off_share(NAN);
      for (v1::NamedShare& mix : Shares(one.mix)) *row->add_mix() = std::move(mix);
      if (traced.confidence < 1) Doubt(traced.confidence, traced.why, row);
    } else if (cost != nullptr && !counts.empty()) {
      FromCode(*cost, share, row);
      if (times_.other_code && times_.lengthened > 1)
        Doubt(1 / times_.lengthened,
              absl::StrFormat("cycles are of instrumented code, which took %.2f times as long", times_.lengthened), row);
      if (shared)
        Doubt(kSharedConfidence, "counts at instructions do not tell who executed them: shared out by instances", row);
    } else {
      if (cost != nullptr) AddCode(*cost, share, row);
      return Unknown(counts.empty() ? "no pass counted instructions" : "the code of the region was not found", row);
    }
    row->set_ipc(row->cycles_total() > 0 ? row->instructions() / row->cycles_total() : NAN);
    row->set_ipc_exclusive(row->cycles_exclusive() > 0 ? row->instructions_exclusive() / row->cycles_exclusive() : NAN);
  }

  // Roles in order of their time, then parents before their children, longest first; warps after their role.
  void Sort(std::vector<v1::RegionCost>* rows) const {
    const auto role_time = [&](const std::string& role) {
      const auto span = times_.spans.find({role, -1});
      return span == times_.spans.end() ? 0 : span->second;
    };
    std::map<std::pair<std::string, int32_t>, std::vector<v1::RegionCost*>> groups;
    for (v1::RegionCost& row : *rows) groups[{row.role(), row.warp()}].push_back(&row);
    std::vector<std::pair<std::string, int32_t>> order;
    for (const auto& [group, members] : groups) order.push_back(group);
    std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      const double ta = role_time(a.first), tb = role_time(b.first);
      return ta != tb ? ta > tb : a < b;
    });
    std::vector<v1::RegionCost> sorted;
    for (const auto& group : order) {
      std::vector<v1::RegionCost*>& members = groups[group];
      std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
        const auto weight = [](const auto* row) { return row->cycles_total() > 0 ? row->cycles_total() : 0; };
        return weight(a) > weight(b);
      });
      std::set<std::string> path;
      // Depth first; what has a parent that is no region of the group comes last.
      const auto add = [&](const auto& self, const std::string& parent) -> void {
        if (!path.insert(parent).second) return;
        for (v1::RegionCost*& row : members) {
          if (row == nullptr || row->parent() != parent) continue;
          const std::string name = row->region();
          sorted.push_back(std::move(*row));
          row = nullptr;
          self(self, name);
        }
        path.erase(parent);
      };
      add(add, "");
      for (v1::RegionCost* row : members)
        if (row != nullptr) sorted.push_back(std::move(*row));
    }
    *rows = std::move(sorted);
  }

  const Evidence& evidence_;
  const bool by_warp_;
  RegionTimes times_;
  RegionMap map_;
  bool joined_ = true;   // counts belong to the times
  double kernel_instructions_ = NAN;
  v1::RegionCosts out_;
};

}  // namespace

absl::StatusOr<v1::RegionCosts> MakeRegionCosts(const Evidence& evidence, const v1::GetRegionCostsRequest& request) {
  return Builder(evidence, request).Build();
}

}  // namespace sextant::analysis
