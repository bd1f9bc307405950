#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/chunk/names.h"
#include "server/analysis/report.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kFindings = 8, kLines = 5, kShares = 6, kWhatIfs = 5, kCosts = 8, kAbstentions = 5;
constexpr size_t kMaxLineBytes = 420, kMaxSummaryBytes = 1000, kMaxKernelBytes = 48;
constexpr double kLineMatters = 0.03;   // of the samples

// Lines in order of their worth, until the room is used up.
class Lines {
 public:
  void Add(const std::string& line, size_t most = kMaxLineBytes) {
    if (full_) return;
    std::string clean = chunk::CleanName(line, std::min(line.size(), most));
    if (text_.size() + clean.size() + 1 + kEnd.size() > kMaxTldrBytes) {
      full_ = true;
      absl::StrAppend(&text_, std::string(kEnd));
      return;
    }
    absl::StrAppend(&text_, clean, "\n");
  }
  std::string Take() { return std::move(text_); }

 private:
  static constexpr absl::string_view kEnd = "(cut: `sextant report JOB --section NAME` has the rest)\n";
  std::string text_;
  bool full_ = false;
};

// Evidence that says where, or how much, rather than repeat the claim.
bool Tells(const std::string& evidence) {
  for (const char* start : {"saves ", "pcsampling: ", "lines with ", "global ", "accesses to ", "occupancy by ", "two modes", "instructions executed"})
    if (absl::StartsWith(evidence, start)) return true;
  return false;
}

// Said better by the lines about regions.
bool Repeats(const v1::Finding& finding) { return finding.rule() == "largest-region" || finding.rule() == "spread-region"; }

std::string ShortTitle(const std::string& kernel) {
  const std::string title = KernelTitle(kernel);
  return title.size() <= kMaxKernelBytes ? title : absl::StrCat(chunk::CleanName(title, kMaxKernelBytes - 3), "…");
}

const v1::CriticalPathAt* Middle(const v1::CriticalPath& path) {
  return path.paths().empty() ? nullptr : &path.paths(path.paths_size() / 2);
}

}  // namespace

std::string ReportTldr(const v1::Report& report, const ReportInputs& inputs) {
  Lines lines;
  lines.Add(absl::StrCat("# ", report.title(), " (job ", report.job_id(), ")"));
  for (const v1::Provenance& one : report.provenance()) {
    lines.Add(absl::StrCat("measured on ", Shown(one.machine_class())));
    break;
  }
  lines.Add(report.summary(), kMaxSummaryBytes);
  int number = 0;
  for (const v1::Finding& finding : report.findings()) {
    if (number == kFindings) break;
    if (Repeats(finding)) continue;
    lines.Add(absl::StrCat(++number, ". ", inputs.kernels.size() > 1 && !finding.kernel().empty() ? absl::StrCat(ShortTitle(finding.kernel()), ": ") : "",
                           finding.claim(), " (confidence ", finding.confidence(), ")"));
    int told = 0;
    for (const std::string& evidence : finding.evidence())
      if (Tells(evidence) && ++told > 0) lines.Add(absl::StrCat("   - ", evidence));
    if (told == 0 && !finding.evidence().empty()) lines.Add(absl::StrCat("   - ", finding.evidence(0)));
    for (const std::string& what : finding.try_this()) lines.Add(absl::StrCat("   try: ", what));
  }
  // Of the kernel that the report is about first; the others have their sentence in the summary.
  for (size_t k = 0; k < std::min<size_t>(inputs.kernels.size(), 1); ++k) {
    const Facts& facts = inputs.kernels[k];
    if (facts.path)
      if (const v1::CriticalPathAt* at = Middle(*facts.path)) {
        std::string line = absl::StrCat("critical path of ", ShortTitle(facts.kernel), " (", Duration(at->span_ns()), "):");
        int shown = 0;
        for (const v1::PathShare& share : at->shares())
          if (shown++ < kShares)
            absl::StrAppend(&line, shown > 1 ? ", " : " ", Shown(share.role()), "/", Shown(share.region()), " ", Percent(share.share()),
                            std::isnan(share.slack_ns()) ? "" : absl::StrCat(" slack ", Duration(share.slack_ns())));
        lines.Add(line);
        line = "what if:";
        shown = 0;
        for (const v1::WhatIfResult& one : facts.path->what_if())
          if (shown++ < kWhatIfs)
            absl::StrAppend(&line, shown > 1 ? ", " : " ", Shown(one.what().region()), absl::StrFormat(" -%g %%", one.what().shorten_pct()), " saves ",
                            Percent(one.speedup_pct() / 100));
        lines.Add(line);
      }
    if (facts.costs && !facts.costs->regions().empty()) {
      int shown = 0;
      for (const v1::RegionCost& cost : facts.costs->regions())
        if (cost.warp() < 0 && !std::isnan(cost.time_share()) && shown++ < kCosts)
          lines.Add(absl::StrCat("region ", Shown(cost.role()), "/", Shown(cost.region()), ": time ", ShareText(cost.time_share()),
                                 std::isnan(cost.issue_share()) ? "" : absl::StrCat(", issue ", ShareText(cost.issue_share())),
                                 std::isnan(cost.ipc_exclusive()) ? "" : absl::StrCat(", IPC ", Figure(cost.ipc_exclusive())),
                                 cost.stalls().empty() ? "" : absl::StrCat(", stalls ", TopShares(cost.stalls(), 1))));
    }
    if (facts.registers && facts.registers->registers() > 0)
      lines.Add(absl::StrCat("registers of ", ShortTitle(facts.kernel), ": ", facts.registers->registers(), ", occupancy ",
                             Figure(facts.registers->occupancy_pct()), " % limited by ", Shown(facts.registers->limiter())));
    if (facts.lines && facts.lines->total_samples() > 0) {
      std::string line;
      for (int i = 0; i < std::min(kLines, facts.lines->hotspots_size()); ++i) {
        const v1::Hotspot& one = facts.lines->hotspots(i);
        if (one.share() < kLineMatters) break;
        if (!absl::StrContains(one.name(), ':')) continue;   // no line
        absl::StrAppend(&line, !line.empty() ? ", " : "", Shown(one.name()), " ", Percent(one.share()), " (", TopShares(one.stalls(), 1), ")");
      }
      if (!line.empty()) lines.Add(absl::StrCat("hot lines of ", ShortTitle(facts.kernel), ": ", line));
    }
    std::vector<std::pair<double, std::string>> stalls;
    for (const auto& [reason, fact] : facts.stalls)
      if (reason != "selected" && fact.value >= 0.05) stalls.push_back({-fact.value, reason});
    std::sort(stalls.begin(), stalls.end());
    std::string line;
    for (size_t i = 0; i < std::min<size_t>(stalls.size(), 5); ++i)
      absl::StrAppend(&line, i > 0 ? ", " : "", stalls[i].second, " ", Percent(-stalls[i].first));
    if (!line.empty()) lines.Add(absl::StrCat("stalls of ", ShortTitle(facts.kernel), ": ", line));
  }
  number = 0;
  for (const v1::Abstention& one : report.abstentions())
    if (number++ < kAbstentions)
      lines.Add(absl::StrCat("not judged: ", one.question(),
                             one.pass().empty() ? absl::StrCat(": ", one.why()) : absl::StrCat("; run --pass ", one.pass()),
                             one.cost_s() > 0 ? absl::StrCat(" (about ", Figure(one.cost_s()), " s)") : ""));
  return lines.Take();
}

}  // namespace sextant::analysis
