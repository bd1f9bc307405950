#include "server/analysis/report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/selection.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kNoisySpread = 0.10;       // of the recorded span over passes
constexpr double kVariableSpread = 0.25;    // of a region's duration
constexpr uint64_t kEnoughInstances = 10;   // to speak of variability
constexpr int kMaxPassRows = 1000;

class TableBuilder {
 public:
  TableBuilder(v1::Report* report, const std::string& name) : table_(report->add_tables()) {
    table_->set_name(name);
  }
  TableBuilder& Column(const std::string& name, const std::string& unit = "") {
    v1::Column* column = table_->add_columns();
    column->set_name(name);
    column->set_unit(unit);
    return *this;
  }
  void Row(const std::vector<std::string>& cells) {
    v1::Row* row = table_->add_rows();
    for (const std::string& cell : cells) row->add_cells()->set_text(cell);
  }

 private:
  v1::Table* const table_;
};

std::string Number(double value) {
  return absl::StrFormat(std::abs(value) >= 1000 ? "%.0f" : "%.4g", value);
}

std::string HowItEnded(const v1::PassInfo& pass) {
  if (!pass.has_result()) return pass.phase();
  const v1::ExitReport& exit = pass.result().exit();
  switch (exit.verdict()) {
    case v1::EXITED: return absl::StrCat("exit code ", exit.exit_code());
    case v1::SIGNALLED: return absl::StrCat("signal ", exit.signal());
    case v1::VERDICT_UNSPECIFIED: return pass.result().failure().message();
    default:
      return absl::StrCat(absl::AsciiStrToLower(v1::Verdict_Name(exit.verdict())),
                          exit.detail().empty() ? "" : ": ", exit.detail());
  }
}

std::string RoleOrUnnamed(const std::string& role) { return role.empty() ? "(unnamed)" : role; }

// Where the quantile 0.5 (or the nearest one asked for) stands.
int MedianAt(const v1::Timeline& timeline) {
  int best = 0;
  for (int i = 0; i < timeline.quantiles_size(); ++i)
    if (std::abs(timeline.quantiles(i) - 0.5) < std::abs(timeline.quantiles(best) - 0.5)) best = i;
  return best;
}

void Regions(const v1::Timeline& timeline, v1::Report* report) {
  TableBuilder table(report, "regions");
  table.Column("role").Column("region").Column("count").Column("sum", "ns");
  for (double q : timeline.quantiles())
    table.Column(absl::StrCat("P", std::lround(100 * q)), "ns");
  table.Column("min", "ns").Column("max", "ns").Column("relative error");
  std::vector<const v1::RegionAggregate*> order;
  for (const auto& region : timeline.regions()) order.push_back(&region);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->sum_ns() > b->sum_ns(); });
  for (const v1::RegionAggregate* region : order) {
    std::vector<std::string> row = {RoleOrUnnamed(region->role()), region->region(),
                                    absl::StrCat(region->count()), Number(region->sum_ns())};
    for (double value : region->duration_ns()) row.push_back(Number(value));
    row.push_back(Number(region->min_ns()));
    row.push_back(Number(region->max_ns()));
    row.push_back(Number(region->relative_error()));
    table.Row(row);
  }
}

void Roles(const v1::Timeline& timeline, v1::Report* report) {
  TableBuilder table(report, "roles");
  table.Column("role").Column("threads").Column("alignment confidence").Column("alignment");
  for (const v1::RoleLane& lane : timeline.lanes())
    table.Row({lane.role(), absl::StrCat(lane.tracks()), Number(lane.alignment_confidence()),
               lane.alignment()});
}

void Certificates(const std::vector<v1::Perturbation>& certificates, v1::Report* report) {
  TableBuilder table(report, "perturbation");
  table.Column("kernel").Column("passes").Column("clean", "ns").Column("instrumented", "ns")
      .Column("ratio").Column("registers").Column("occupancy", "%").Column("same code")
      .Column("verdict").Column("why");
  const auto pair = [](double before, double after) {
    return before > 0 || after > 0 ? absl::StrCat(Number(before), " → ", Number(after)) : "";
  };
  for (const v1::Perturbation& one : certificates)
    table.Row({one.kernel(), absl::StrCat(one.backend(), " ×", one.pass_ids_size()),
               Number(one.clean_ns()), Number(one.instrumented_ns()),
               one.ratio() > 0 ? Number(one.ratio()) : "",
               pair(one.clean_registers(), one.instrumented_registers()),
               pair(one.clean_occupancy_pct(), one.instrumented_occupancy_pct()),
               one.same_code() ? "yes" : "no or unknown", one.verdict(), one.why()});
}

void PassRows(const std::vector<v1::PassInfo>& passes, v1::Report* report) {
  TableBuilder table(report, "passes");
  table.Column("pass").Column("task").Column("backend").Column("state").Column("source")
      .Column("ended").Column("wall", "s").Column("events").Column("dropped").Column("worker");
  int rows = 0;
  for (const v1::PassInfo& pass : passes) {
    if (++rows > kMaxPassRows) break;
    table.Row({absl::StrCat(pass.pass_id()), pass.task(), MeasuredAs(pass).backend(),
               absl::AsciiStrToLower(v1::State_Name(pass.state())),
               absl::AsciiStrToLower(v1::Source_Name(pass.source())), HowItEnded(pass),
               Number(pass.result().exit().wall_s()), absl::StrCat(pass.result().events()),
               absl::StrCat(pass.result().dropped()), pass.worker()});
  }
}

void Environment(const v1::Report& from, v1::Report* report) {
  TableBuilder table(report, "environment");
  table.Column("what").Column("value");
  for (int i = 0; i < from.provenance_size(); ++i) {
    const v1::Provenance& p = from.provenance(i);
    const std::string prefix = from.provenance_size() > 1 ? absl::StrCat(i + 1, ": ") : "";
    const auto add = [&](const char* what, const std::string& value) {
      if (!value.empty()) table.Row({prefix + what, value});
    };
    add("machine class", p.machine_class());
    add("CPU", p.cpu_model());
    add("cores", p.cpu_cores() > 0 ? absl::StrCat(p.cpu_cores()) : "");
    add("kernel", p.kernel());
    add("worker", p.worker());
    add("device", p.device());
    add("backend", p.backend());
    add("tool digest", p.tool_digest());
    add("sandbox", p.sandbox());
    const std::map<std::string, std::string> extra(p.extra().begin(), p.extra().end());
    for (const auto& [name, value] : extra) table.Row({prefix + name, value});
  }
}

v1::Finding* Say(v1::Report* report, const std::string& claim, const std::string& confidence) {
  v1::Finding* finding = report->add_findings();
  finding->set_claim(claim);
  finding->set_confidence(confidence);
  return finding;
}

void Findings(const v1::Timeline& timeline, v1::Report* report) {
  const int median = MedianAt(timeline);
  // Regions nest, so shares are of the time of outermost instances alone where these are known.
  std::map<std::pair<std::string, std::string>, bool> nested;
  for (const auto& lane : timeline.lanes())
    for (const auto& stat : lane.instances())
      if (stat.depth() > 0) nested[{lane.role(), stat.region()}] = true;
  std::map<std::string, double> of_role;
  const v1::RegionAggregate* largest = nullptr;
  for (const auto& region : timeline.regions()) {
    if (nested.count({region.role(), region.region()}) > 0) continue;
    of_role[region.role()] += region.sum_ns();
    if (largest == nullptr || region.sum_ns() > largest->sum_ns()) largest = &region;
  }
  if (largest != nullptr && of_role[largest->role()] > 0) {
    Say(report,
        absl::StrFormat("Region %s takes the largest share of the time recorded in role %s: %.0f %%",
                        largest->region(), RoleOrUnnamed(largest->role()),
                        100 * largest->sum_ns() / of_role[largest->role()]),
        "high")
        ->add_evidence(absl::StrCat("region ", largest->region(), ": ", Count(largest->count()),
                                    " instances, ", Duration(largest->sum_ns()), " in all"));
  }
  const v1::RegionAggregate* variable = nullptr;
  double widest = kVariableSpread;
  if (timeline.quantiles_size() >= 3) {
    for (const auto& region : timeline.regions()) {
      const int last = region.duration_ns_size() - 1;
      if (region.count() < kEnoughInstances || !(region.duration_ns(median) > 0)) continue;
      const double spread =
          (region.duration_ns(last) - region.duration_ns(0)) / region.duration_ns(median);
      if (spread > widest) {
        widest = spread;
        variable = &region;
      }
    }
  }
  if (variable != nullptr) {
    const int last = variable->duration_ns_size() - 1;
    Say(report,
        absl::StrFormat("Region %s of role %s varies most", variable->region(),
                        RoleOrUnnamed(variable->role())),
        variable->count() >= 100 ? "high" : "medium")
        ->add_evidence(absl::StrFormat(
            "P%d %s, P%d %s, P%d %s over %s instances", std::lround(100 * timeline.quantiles(0)),
            Duration(variable->duration_ns(0)), std::lround(100 * timeline.quantiles(median)),
            Duration(variable->duration_ns(median)), std::lround(100 * timeline.quantiles(last)),
            Duration(variable->duration_ns(last)), Count(variable->count())));
  }
  if (timeline.dropped() > 0)
    Say(report,
        absl::StrCat(Count(timeline.dropped()), " records were lost to full buffers (",
                     Count(timeline.events()), " were kept): counts and sums are too small"),
        "high")
        ->add_evidence("record fewer regions, or give the backend larger buffers");
  if (timeline.span_ns_size() >= 3 && timeline.passes() >= 3 && timeline.span_ns(median) > 0) {
    const double noise =
        (timeline.span_ns(timeline.span_ns_size() - 1) - timeline.span_ns(0)) /
        timeline.span_ns(median);
    if (noise > kNoisySpread)
      Say(report,
          absl::StrFormat("The passes differ much in length: the recorded span spreads by %.0f %%",
                          100 * noise),
          timeline.passes() >= 10 ? "high" : "medium")
          ->add_evidence(absl::StrCat("span ", Duration(timeline.span_ns(0)), " to ",
                                      Duration(timeline.span_ns(timeline.span_ns_size() - 1)),
                                      " over ", timeline.passes(), " passes"));
  }
  for (const auto& lane : timeline.lanes()) {
    if (lane.alignment_confidence() >= 0.9) continue;
    Say(report,
        absl::StrFormat("Instances of role %s can be compared over passes only in part "
                        "(alignment confidence %.2f)",
                        lane.role(), lane.alignment_confidence()),
        "high")
        ->add_evidence(lane.alignment());
  }
}

std::string Markdown(const v1::Report& report) {
  std::string text = absl::StrCat("# ", MarkdownText(report.title()), "\n\n",
                                  MarkdownText(report.summary()), "\n");
  if (!report.findings().empty()) {
    absl::StrAppend(&text, "\n## Findings\n\n");
    for (const auto& finding : report.findings()) {
      absl::StrAppend(&text, "* ", MarkdownText(finding.claim()), " (confidence: ",
                      finding.confidence(), ")\n");
      for (const auto& evidence : finding.evidence())
        absl::StrAppend(&text, "  * ", MarkdownText(evidence), "\n");
    }
  }
  for (const auto& table : report.tables()) {
    if (table.rows().empty()) continue;
    absl::StrAppend(&text, "\n## ", MarkdownText(table.name()), "\n\n|");
    for (const auto& column : table.columns())
      absl::StrAppend(&text, " ", MarkdownText(column.name()),
                      column.unit().empty() ? "" : absl::StrCat(" (", column.unit(), ")"), " |");
    absl::StrAppend(&text, "\n|");
    for (int i = 0; i < table.columns_size(); ++i) absl::StrAppend(&text, " --- |");
    for (const auto& row : table.rows()) {
      absl::StrAppend(&text, "\n|");
      for (const auto& cell : row.cells()) absl::StrAppend(&text, " ", MarkdownText(cell.text()), " |");
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace

absl::StatusOr<v1::Report> MakeReport(const v1::JobInfo& job, const std::string& task,
                                      const std::vector<v1::PassInfo>& passes,
                                      const absl::StatusOr<v1::Timeline>& timeline,
                                      const std::vector<v1::Perturbation>& certificates) {
  if (passes.empty())
    return absl::FailedPreconditionError(
        "no pass is planned yet: the task waits for its inputs; `sextant job --explain` says for "
        "which");
  v1::Report report;
  report.set_job_id(job.job_id());
  report.set_title(absl::StrCat(job.name().empty() ? absl::StrCat("job ", job.job_id()) : job.name(),
                                task.empty() ? "" : " / ", task));
  std::map<v1::State, int> states;
  int cached = 0;
  std::vector<const v1::PassInfo*> ended;
  for (const v1::PassInfo& pass : passes) {
    ++states[pass.state()];
    if (pass.source() == v1::CACHED || pass.source() == v1::MERGED) ++cached;
    if (pass.has_result()) ended.push_back(&pass);
  }
  std::vector<std::string> counts;
  for (const auto& [state, count] : states)
    counts.push_back(absl::StrCat(count, " ", absl::AsciiStrToLower(v1::State_Name(state))));
  std::string summary =
      absl::StrCat(passes.size(), passes.size() == 1 ? " pass: " : " passes: ",
                   absl::StrJoin(counts, ", "), cached > 0 ? absl::StrCat(", ", cached, " of them "
                   "from the cache") : "", ".");
  if (timeline.ok()) {
    absl::StrAppend(&summary, " ", timeline->passes(), " joined, ", Count(timeline->events()),
                    " instances recorded.");
    if (timeline->span_ns_size() > 0)
      absl::StrAppend(&summary, " The recorded span is ",
                      Duration(timeline->span_ns(MedianAt(*timeline))), " in the median pass.");
    for (const auto& note : timeline->notes()) absl::StrAppend(&summary, " Note: ", note, ".");
  } else {
    absl::StrAppend(&summary, " No timeline: ", std::string(timeline.status().message()), ".");
  }
  report.set_summary(summary);
  for (v1::Provenance& provenance : DistinctProvenance(ended))
    *report.add_provenance() = std::move(provenance);

  if (states[v1::FAILED] > 0) {
    v1::Finding* finding = Say(
        &report, absl::StrCat(states[v1::FAILED], " of ", passes.size(), " passes failed"), "high");
    for (const v1::PassInfo& pass : passes)
      if (pass.state() == v1::FAILED && finding->evidence_size() < 5)
        finding->add_evidence(absl::StrCat("pass ", pass.pass_id(), ": ", HowItEnded(pass), ". ",
                                           pass.result().failure().message()));
  }
  if (timeline.ok()) {
    Findings(*timeline, &report);
    Regions(*timeline, &report);
    Roles(*timeline, &report);
  }
  if (!certificates.empty()) Certificates(certificates, &report);
  PassRows(passes, &report);
  Environment(report, &report);
  report.set_markdown(Markdown(report));
  return report;
}

}  // namespace sextant::analysis
