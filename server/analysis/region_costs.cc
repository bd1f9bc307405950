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
#include "server/analysis/region_code.h"
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
  std::vector<std::string> ranges;
};
using ByName = std::map<std::pair<std::string, std::string>, CodeCost>;   // (region, parent)

// What the counters, the sampler and the code say of regions by name.
class CodeCosts {
 public:
  CodeCosts(const KernelCode& code, const std::map<uint64_t, PcCount>& counts,
            const std::map<uint64_t, PcSamples>& samples, absl::Span<const std::string> names)
      : function_(code.function), regions_(FindRegionCode(code.function, code.flow)) {
    for (const CodeRegion& region : regions_.regions) names_.push_back(NameOf(region, names));
    // Rows of the same name and parent, under whatever lies above, are one.
    std::vector<CodeCost*> rows;
    for (size_t region = 0; region < regions_.regions.size(); ++region) {
      const CodeRegion& one = regions_.regions[region];
      rows.push_back(one.begins.empty() ? nullptr : &by_name_[{names_[region], one.parent < 0 ? "" : names_[one.parent]}]);
    }
    for (uint32_t i = 0; i < function_.code.size(); ++i) AddInstruction(i, counts, samples, rows);
    const auto ranges = regions_.Ranges(function_);
    for (size_t region = 0; region < rows.size(); ++region) {
      if (rows[region] == nullptr) continue;
      for (const uint32_t begin : regions_.regions[region].begins)
        if (const auto count = counts.find(function_.code[begin].pc); count != counts.end())
          rows[region]->begins += count->second.executed;
      rows[region]->ranges.insert(rows[region]->ranges.end(), ranges[region].begin(), ranges[region].end());
    }
  }

  const RegionCode& regions() const { return regions_; }
  const ByName& by_name() const { return by_name_; }

 private:
  std::string NameOf(const CodeRegion& region, absl::Span<const std::string> names) const {
    if (regions_.format == RecordFormat::kProton)
      return absl::StrCat("scope ", region.id);   // Proton's names are in no code
    const std::string known = NameOfScopeId(region.id, region.wait, names);
    return known.empty() ? absl::StrFormat("%sscope 0x%x", region.wait ? "wait " : "", region.id) : known;
  }

  void AddInstruction(uint32_t i, const std::map<uint64_t, PcCount>& counts, const std::map<uint64_t, PcSamples>& samples,
                      const std::vector<CodeCost*>& rows) {
    const auto count = counts.find(function_.code[i].pc);
    const int32_t here = regions_.innermost[i];
    if (count != counts.end()) {
      const PcCount& at = count->second;
      for (int32_t region = here; region >= 0; region = regions_.regions[region].parent)
        if (rows[region] != nullptr) rows[region]->instructions += at.executed;
      for (const int32_t region : regions_.doubtful[i])
        if (rows[region] != nullptr && !regions_.IsWithin(here, region)) rows[region]->doubtful += at.executed;
    }
    if (here < 0 || rows[here] == nullptr) return;
    CodeCost& cost = *rows[here];
    if (count != counts.end()) {
      const PcCount& at = count->second;
      cost.exclusive += at.executed;
      cost.threads += at.threads;
      cost.off += at.predicated_off;
      cost.mix[regions_.recording[i] ? "recording" : at.opcode_class.empty() ? "unknown" : at.opcode_class] += at.executed;
    }
    if (const auto sample = samples.find(function_.code[i].pc); sample != samples.end())
      for (const auto& [stall, number] : sample->second.by_stall) cost.stalls[stall] += number;
  }

  const SassFunction& function_;
  const RegionCode regions_;
  std::vector<std::string> names_;
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
    ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence_, kQuestion, basis));
    ASSIGN_OR_RETURN(const auto samples, ReadSamples(evidence_, "why warps of regions stand still", basis));
    ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence_, "which instructions belong to which region", basis));
    ASSIGN_OR_RETURN(const auto metrics, KernelMetrics::Read(evidence_, basis));
    OfKernel(counts, samples, metrics);
    std::optional<CodeCosts> costs;
    if (code != nullptr) {
      costs.emplace(*code, counts, samples, times_.names);
      for (const std::string& note : costs->regions().notes) basis->add_notes(note);
      if (costs->regions().regions.empty() && !times_.regions.empty())
        evidence_.Abstain("which instructions belong to which region",
                          "the code of the kernel has no record of a scope: it was not the instrumented code that was kept "
                          "(Proton instruments a copy)",
                          "cutracer", basis);
    }
    ASSIGN_OR_RETURN(const TracedCounts traced,
                     ReadTracedCounts(evidence_, times_, !counts.empty() && costs && !costs->by_name().empty(), basis));
    AddRows(counts, costs ? &costs->by_name() : nullptr, traced);
    return std::move(out_);
  }

 private:
  absl::Status ReadTimes() {
    Evidence::Want want{.used_for = "time", .times = true, .trace = true};
    v1::Basis* const basis = out_.mutable_basis();
    ASSIGN_OR_RETURN(times_, ReadRegionTimes(evidence_, want, by_warp_, basis));
    if (times_.passes == 0) {
      // Of instrumented code that differs from the clean one (Proton's): times without instructions.
      want.same_code = false;
      basis->clear_passes();
      ASSIGN_OR_RETURN(times_, ReadRegionTimes(evidence_, want, by_warp_, basis));
      other_code_ = times_.passes > 0;
      if (other_code_)
        basis->add_notes("the passes that timed regions ran other code than the passes that counted instructions: times "
                         "and counts are not joined");
    }
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
      if (code != nullptr && !other_code_)
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
    row->set_source("sassmetrics by PC range");
    row->set_instructions(cost.instructions * share);
    row->set_instructions_exclusive(cost.exclusive * share);
    row->set_issue_share(kernel_instructions_ > 0 ? row->instructions_exclusive() / kernel_instructions_ : NAN);
    row->set_predicated_off_share(cost.threads > 0 ? cost.off / cost.threads : NAN);
    for (v1::NamedShare& one : Shares(cost.mix)) {
      one.set_value(one.value() * share);
      *row->add_mix() = std::move(one);
    }
    AddCode(cost, share, row);
    if (cost.doubtful > 0)
      Doubt(cost.instructions / (cost.instructions + cost.doubtful),
            absl::StrFormat("%.0f more instructions a launch may belong to it: ways that meet in the code disagree", cost.doubtful),
            row);
  }

  static void AddCode(const CodeCost& cost, double share, v1::RegionCost* row) {
    for (v1::NamedShare& one : Shares(cost.stalls)) {
      one.set_value(one.value() * share);
      *row->add_stalls() = std::move(one);
    }
    for (const std::string& range : cost.ranges) row->add_code(range);
  }

  void Counts(const RegionKey& key, const std::map<uint64_t, PcCount>& counts, const CodeCost* cost, double share,
              bool shared, const TracedCounts& traced, v1::RegionCost* row) {
    if (other_code_) return Unknown("the timed code is not the counted one", row);
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
  bool other_code_ = false;
  double kernel_instructions_ = NAN;
  v1::RegionCosts out_;
};

}  // namespace

absl::StatusOr<v1::RegionCosts> MakeRegionCosts(const Evidence& evidence, const v1::GetRegionCostsRequest& request) {
  return Builder(evidence, request).Build();
}

}  // namespace sextant::analysis
