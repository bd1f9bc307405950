// What a run depends on: shares of the longest path, its steps, barriers, what-if.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/path_picture.h"
#include "server/analysis/pictures/text_pictures.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownSteps = 24;

std::string Quantile(double q) { return absl::StrFormat("P%g", 100 * q); }

void Shares(const v1::CriticalPath& path, TableWriter* table) {
  table->Column("role").Column("region");
  for (const v1::CriticalPathAt& at : path.paths())
    table->Column(absl::StrCat("on the ", Quantile(at.quantile()), " path")).Column("share");
  table->Column("slack");
  const v1::CriticalPathAt& middle = path.paths(path.paths_size() / 2);
  for (const v1::PathShare& row : middle.shares()) {
    std::vector<std::string> cells = {Shown(row.role()), Shown(row.region())};
    for (const v1::CriticalPathAt& at : path.paths()) {
      const v1::PathShare* same = nullptr;
      for (const v1::PathShare& one : at.shares())
        if (one.role() == row.role() && one.region() == row.region()) same = &one;
      cells.push_back(same == nullptr ? "–" : Duration(same->on_path_ns()));
      cells.push_back(same == nullptr ? "–" : ShareText(same->share()));
    }
    cells.push_back(Duration(row.slack_ns()));
    table->Row(cells);
  }
}

}  // namespace

void WriteCriticalPath(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.path) continue;
    const v1::CriticalPath& path = *facts.path;
    // Of a kernel that nobody looked into, that nothing was recorded says nothing.
    if (path.paths().empty() && &facts != &inputs.kernels.front()) continue;
    NotesOf(inputs, facts, path.basis(), out);
    if (path.paths().empty()) continue;
    StandsOn(path.basis(), out);
    const v1::CriticalPathAt& middle = path.paths(path.paths_size() / 2);
    if (!middle.shares().empty()) {
      const v1::PathShare& most = middle.shares(0);
      Say(out, absl::StrCat(
                   inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": of the ") : "Of the ",
                   Duration(middle.span_ns()), " of the ", Quantile(middle.quantile()), " CTA, ", ShareText(most.share()),
                   " is \"", Shown(most.region()), "\" of ", Shown(RoleWords(most.role())), ". ",
                   path.path_changes() ? "Slow runs take another way than fast ones."
                                       : "Slow runs take the same way as fast ones."));
    }
    v1::Picture* picture = out->add_pictures();
    picture->set_name(absl::StrCat("path-", out->pictures_size()));
    picture->set_caption(absl::StrCat("Shares of the critical path of ", KernelTitle(facts.kernel), ", and what shortening a region would save"));
    picture->set_svg(DrawPath(path));
    AddText(inputs, facts, absl::StrCat("shares of the ", Quantile(middle.quantile()), " path of ", Duration(middle.span_ns())), TextPath(middle), out);

    TableWriter shares(out, TableName(inputs, facts, "shares of the critical path"));
    Shares(path, &shares);
    shares.End(out);

    TableWriter steps(out, TableName(inputs, facts, absl::StrCat("steps of the ", Quantile(middle.quantile()), " path: p",
                                                                 middle.pass_id(), ", launch ", middle.launch(), ", CTA ",
                                                                 middle.cta())));
    steps.set_most(kShownSteps);
    steps.Column("from").Column("role").Column("region").Column("took").Column("times").Column("after a signal to");
    for (const v1::PathStep& step : middle.steps())
      steps.Row({Duration(step.start_ns()), Shown(step.role()), Shown(step.region()), Duration(step.duration_ns()),
                 absl::StrCat(step.repeats()), Shown(step.enters_by())});
    steps.End(out);

    TableWriter what_if(out, TableName(inputs, facts, "what if"));
    what_if.Column("role").Column("region").Column("shorter by", "%").Column("span now").Column("predicted").Column("saves");
    for (const v1::WhatIfResult& one : path.what_if())
      what_if.Row({Shown(one.what().role()), Shown(one.what().region()), absl::StrFormat("%g", one.what().shorten_pct()),
                   Duration(one.span_ns()), Duration(one.predicted_ns()), Percent(one.speedup_pct() / 100)});
    what_if.End(out);

    TableWriter edges(out, TableName(inputs, facts, "barriers"));
    edges.Column("barrier").Column("signals").Column("waits").Column("waits a CTA").Column("median wait")
        .Column("a CTA in all").Column("had to wait");
    for (const v1::BarrierEdge& edge : path.edges())
      edges.Row({Shown(edge.barrier()), Shown(edge.from_role()), Shown(edge.to_role()),
                 absl::StrFormat("%.4g", static_cast<double>(edge.count()) / std::max(1u, path.ctas())),
                 Duration(edge.wait_ns()), Duration(edge.wait_total_ns()), ShareText(edge.late_share())});
    edges.End(out);
  }
}

}  // namespace sextant::analysis
