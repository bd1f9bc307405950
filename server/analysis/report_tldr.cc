#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/chunk/names.h"
#include "server/analysis/report.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kFindings = 8, kShares = 6, kWhatIfs = 5, kCosts = 8, kAbstentions = 6;
constexpr size_t kMaxLineBytes = 600;

// Lines in order of their worth, until the room is used up.
class Lines {
 public:
  void Add(const std::string& line) {
    if (full_) return;
    std::string clean = chunk::CleanName(line, std::min(line.size(), kMaxLineBytes));
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

const v1::CriticalPathAt* Middle(const v1::CriticalPath& path) {
  return path.paths().empty() ? nullptr : &path.paths(path.paths_size() / 2);
}

}  // namespace

std::string ReportTldr(const v1::Report& report, const ReportInputs& inputs) {
  Lines lines;
  lines.Add(absl::StrCat("# ", report.title(), " (job ", report.job_id(), ")"));
  lines.Add(report.summary());
  int number = 0;
  for (const v1::Finding& finding : report.findings()) {
    if (number == kFindings) break;
    lines.Add(absl::StrCat(++number, ". [", finding.rule(), inputs.kernels.size() > 1 && !finding.kernel().empty() ? absl::StrCat(" ", KernelTitle(finding.kernel())) : "",
                           "] ", finding.claim(),
                           std::isnan(finding.saves_share()) ? "" : absl::StrCat("; saves <= ", Percent(finding.saves_share())),
                           "; confidence ", finding.confidence()));
    if (!finding.evidence().empty()) lines.Add(absl::StrCat("   evidence: ", finding.evidence(0)));
    for (const std::string& what : finding.try_this()) lines.Add(absl::StrCat("   try: ", what));
  }
  for (const Facts& facts : inputs.kernels) {
    if (facts.path)
      if (const v1::CriticalPathAt* at = Middle(*facts.path)) {
        std::string line = absl::StrCat("critical path of ", KernelTitle(facts.kernel), " (", Duration(at->span_ns()), "):");
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
        if (cost.warp() < 0 && shown++ < kCosts)
          lines.Add(absl::StrCat("region ", Shown(cost.role()), "/", Shown(cost.region()), ": time ", ShareText(cost.time_share()), ", issue ",
                                 ShareText(cost.issue_share()), ", IPC ", std::isnan(cost.ipc_exclusive()) ? "-" : Figure(cost.ipc_exclusive())));
    }
    if (facts.registers && facts.registers->registers() > 0)
      lines.Add(absl::StrCat("registers of ", KernelTitle(facts.kernel), ": ", facts.registers->registers(), ", occupancy ",
                             Figure(facts.registers->occupancy_pct()), " % limited by ", Shown(facts.registers->limiter())));
    std::vector<std::pair<double, std::string>> stalls;
    for (const auto& [reason, fact] : facts.stalls)
      if (reason != "selected" && fact.value >= 0.05) stalls.push_back({-fact.value, reason});
    std::sort(stalls.begin(), stalls.end());
    std::string line;
    for (size_t i = 0; i < std::min<size_t>(stalls.size(), 5); ++i)
      absl::StrAppend(&line, i > 0 ? ", " : "", stalls[i].second, " ", Percent(-stalls[i].first));
    if (!line.empty()) lines.Add(absl::StrCat("stalls of ", KernelTitle(facts.kernel), ": ", line));
  }
  number = 0;
  for (const v1::Abstention& one : report.abstentions())
    if (number++ < kAbstentions)
      lines.Add(absl::StrCat("not judged: ", one.question(), one.pass().empty() ? "" : absl::StrCat("; run --pass ", one.pass()),
                             one.cost_s() > 0 ? absl::StrCat(" (about ", Figure(one.cost_s()), " s)") : ""));
  for (const v1::Provenance& one : report.provenance()) {
    lines.Add(absl::StrCat("measured on ", Shown(one.machine_class())));
    break;
  }
  return lines.Take();
}

}  // namespace sextant::analysis
