#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/report.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

void AddTable(const v1::Table& table, std::string* text) {
  absl::StrAppend(text, "\n**", MarkdownText(table.name()), "**\n\n|");
  for (const v1::Column& column : table.columns())
    absl::StrAppend(text, " ", MarkdownText(column.name()), column.unit().empty() ? "" : absl::StrCat(" (", MarkdownText(column.unit()), ")"), " |");
  absl::StrAppend(text, "\n|");
  for (int i = 0; i < table.columns_size(); ++i) absl::StrAppend(text, " --- |");
  for (const v1::Row& row : table.rows()) {
    absl::StrAppend(text, "\n|");
    for (const v1::Cell& cell : row.cells()) absl::StrAppend(text, " ", MarkdownText(cell.text()), " |");
  }
  absl::StrAppend(text, "\n");
}

// A block of code; a fence longer than any run of backticks in it, so nothing in it ends it.
std::string Fenced(const std::string& text) {
  size_t longest = 0, run = 0;
  for (const char c : text) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
  const std::string fence(std::max<size_t>(3, longest + 1), '`');
  return absl::StrCat(fence, "text\n", text, text.back() == '\n' ? "" : "\n", fence, "\n");
}

}  // namespace

std::string ReportMarkdown(const v1::Report& report) {
  std::string text = absl::StrCat("# ", MarkdownText(report.title()), "\n\n", MarkdownText(report.summary()), "\n");
  if (!report.findings().empty()) {
    absl::StrAppend(&text, "\n## Findings\n");
    int number = 0;
    for (const v1::Finding& finding : report.findings()) {
      absl::StrAppend(&text, "\n", ++number, ". **", MarkdownText(finding.claim()), "**\n   (rule ", MarkdownText(finding.rule()),
                      std::isnan(finding.saves_share()) ? "" : absl::StrCat(", saves at most ", Percent(finding.saves_share())),
                      ", confidence ", MarkdownText(finding.confidence()),
                      finding.kernel().empty() ? "" : absl::StrCat(", kernel ", MarkdownText(KernelTitle(finding.kernel()))), ")\n");
      for (const std::string& evidence : finding.evidence()) absl::StrAppend(&text, "   * ", MarkdownText(evidence), "\n");
      for (const std::string& what : finding.try_this()) absl::StrAppend(&text, "   * try: ", MarkdownText(what), "\n");
    }
  }
  if (!report.abstentions().empty()) {
    absl::StrAppend(&text, "\n## Not judged\n\n");
    for (const v1::Abstention& one : report.abstentions())
      absl::StrAppend(&text, "* ", MarkdownText(one.question()), ": ", MarkdownText(one.why()),
                      one.pass().empty() ? "" : absl::StrCat(" (`--pass ", one.pass(), "`", one.cost_s() > 0 ? absl::StrCat(", about ", Figure(one.cost_s()), " s") : "", ")"), "\n");
  }
  for (const v1::ReportSection& section : report.sections()) {
    absl::StrAppend(&text, "\n## ", MarkdownText(section.title()), "\n");
    if (!section.summary().empty()) absl::StrAppend(&text, "\n", MarkdownText(section.summary()), "\n");
    if (!section.pass_ids().empty())
      absl::StrAppend(&text, "\nFrom passes ", PassNames({section.pass_ids().begin(), section.pass_ids().end()}), ".\n");
    if (!section.text().empty()) absl::StrAppend(&text, "\n", Fenced(section.text()));
    for (const v1::Table& table : section.tables()) AddTable(table, &text);
    for (const std::string& note : section.notes()) absl::StrAppend(&text, "\n* ", MarkdownText(note), "\n");
  }
  return text;
}

}  // namespace sextant::analysis
