#include "server/analysis/report.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

std::string Summary(const ReportInputs& inputs) {
  std::map<v1::State, int> states;
  int cached = 0;
  for (const v1::PassInfo& pass : inputs.passes) {
    ++states[pass.state()];
    if (pass.source() == v1::CACHED || pass.source() == v1::MERGED) ++cached;
  }
  std::vector<std::string> counts;
  for (const auto& [state, count] : states)
    counts.push_back(absl::StrCat(count, " ", absl::AsciiStrToLower(v1::State_Name(state))));
  return absl::StrCat(inputs.diagnosis.verdict(), inputs.diagnosis.verdict().empty() ? "" : " ", inputs.passes.size(),
                      inputs.passes.size() == 1 ? " pass: " : " passes: ", absl::StrJoin(counts, ", "),
                      cached > 0 ? absl::StrCat(", ", cached, " of them from the cache") : "", ".");
}

}  // namespace

absl::StatusOr<v1::Report> MakeReport(const ReportInputs& inputs, const std::string& task, v1::ReportFormat format,
                                      const std::vector<std::string>& sections) {
  if (inputs.passes.empty())
    return absl::FailedPreconditionError(
        "no pass is planned yet: the task waits for its inputs; `sextant job --explain` says for which");
  for (const std::string& name : sections)
    if (std::none_of(Sections().begin(), Sections().end(), [&](const Section& one) { return one.name == name; }))
      return absl::InvalidArgumentError(absl::StrCat(
          "sections: there is no section \"", name, "\"; there are ",
          absl::StrJoin(Sections(), ", ", [](std::string* out, const Section& one) { absl::StrAppend(out, one.name); })));
  v1::Report report;
  report.set_job_id(inputs.job.job_id());
  report.set_task(task);
  report.set_title(absl::StrCat(inputs.job.name().empty() ? absl::StrCat("job ", inputs.job.job_id()) : Shown(inputs.job.name()),
                                task.empty() ? "" : absl::StrCat(" / ", Shown(task))));
  report.set_summary(Summary(inputs));
  *report.mutable_findings() = inputs.diagnosis.findings();
  *report.mutable_abstentions() = inputs.diagnosis.abstentions();
  for (const v1::Provenance& one : inputs.provenance) *report.add_provenance() = one;
  for (const Section& section : Sections()) {
    if (!sections.empty() && std::find(sections.begin(), sections.end(), section.name) == sections.end()) continue;
    v1::ReportSection out;
    out.set_name(section.name);
    out.set_title(section.title);
    section.write(inputs, &out);
    for (int i = out.tables_size(); i-- > 0;)
      if (out.tables(i).rows().empty()) out.mutable_tables()->DeleteSubrange(i, 1);
    if (out.summary().empty() && out.tables().empty() && out.pictures().empty() && out.text().empty() && out.notes().empty()) continue;
    if (section.name == std::string("passes") || section.name == std::string("environment"))
      for (const v1::Table& table : out.tables()) *report.add_tables() = table;
    *report.add_sections() = std::move(out);
  }
  if (format == v1::REPORT_FORMAT_UNSPECIFIED || format == v1::MARKDOWN) report.set_markdown(ReportMarkdown(report));
  if (format == v1::HTML) report.set_html(ReportHtml(report));
  if (format == v1::REPORT_FORMAT_UNSPECIFIED || format == v1::TLDR) report.set_tldr(ReportTldr(report, inputs));
  return report;
}

}  // namespace sextant::analysis
