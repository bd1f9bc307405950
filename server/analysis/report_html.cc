#include <algorithm>
#include <cctype>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/analysis/pictures/svg.h"
#include "server/analysis/report.h"
#include "server/analysis/rules/rule.h"

namespace sextant::analysis {
namespace {

constexpr char kHead[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<meta name=\"color-scheme\" content=\"light dark\"><style>"
    ":root{--ink:#1f2328;--mute:#5b6470;--line:#d9dde2;--bg:#fff;--card:#f6f7f9;--accent:#2563ab}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--mute:#9aa3ad;--line:#30363d;--bg:#14171b;--card:#1c2026;--accent:#6aa7ea}}"
    "body{margin:0 auto;max-width:1080px;padding:24px 20px 80px;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:26px;margin:0 0 8px}h2{font-size:19px;margin:40px 0 6px;padding-top:12px;border-top:1px solid var(--line)}"
    "h3{font-size:14px;margin:22px 0 6px}p{margin:6px 0}.mute{color:var(--mute)}.lead{font-size:16px}"
    "nav{display:flex;flex-wrap:wrap;gap:4px 14px;margin:14px 0;font-size:13px}a{color:var(--accent);text-decoration:none}"
    ".finding{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;margin:10px 0}"
    ".finding b{font-size:15px}.save{float:right;font-weight:600;margin-left:12px}.finding ul{margin:6px 0;padding-left:18px}"
    ".finding li{overflow-wrap:anywhere;color:var(--mute);font-size:13px}.finding li.try{color:var(--ink)}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}"
    "th,td{padding:3px 10px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top;max-width:420px;overflow-wrap:break-word}"
    "th{color:var(--mute);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap}"
    "figure{margin:14px 0;overflow-x:auto}figcaption{font-size:13px;color:var(--mute)}svg.sx{width:100%;min-width:640px;max-width:1000px;height:auto}"
    "pre{overflow-x:auto;background:var(--card);padding:10px}li{margin:2px 0}"
    "</style>";

// A cell that reads as a number, with its unit or without, stands at the right: "29.1 µs", "+3", "–".
bool IsNumber(const std::string& text) {
  if (text == "–") return true;
  if (text.empty() || text.size() >= 24 || std::count(text.begin(), text.end(), ' ') > 1) return false;
  const size_t first = text[0] == '-' || text[0] == '+' ? 1 : 0;
  return first < text.size() && std::isdigit(static_cast<unsigned char>(text[first]));
}

void AddTable(const v1::Table& table, std::string* out) {
  absl::StrAppend(out, "<h3>", HtmlText(table.name()), "</h3><div class=\"scroll\"><table><thead><tr>");
  for (int c = 0; c < table.columns_size(); ++c) {
    const v1::Column& column = table.columns(c);
    const bool numbers = table.rows_size() > 0 && c < table.rows(0).cells_size() && IsNumber(table.rows(0).cells(c).text());
    absl::StrAppend(out, numbers ? "<th class=\"n\">" : "<th>", HtmlText(column.name()), column.unit().empty() ? "" : absl::StrCat(" (", HtmlText(column.unit()), ")"), "</th>");
  }
  absl::StrAppend(out, "</tr></thead><tbody>");
  for (const v1::Row& row : table.rows()) {
    absl::StrAppend(out, "<tr>");
    for (const v1::Cell& cell : row.cells())
      absl::StrAppend(out, IsNumber(cell.text()) ? "<td class=\"n\">" : "<td>", HtmlText(cell.text()), "</td>");
    absl::StrAppend(out, "</tr>");
  }
  absl::StrAppend(out, "</tbody></table></div>");
}

void AddFinding(const v1::Finding& finding, std::string* out) {
  absl::StrAppend(out, "<div class=\"finding\">");
  if (!std::isnan(finding.saves_share())) absl::StrAppend(out, "<span class=\"save\">≤ ", Percent(finding.saves_share()), "</span>");
  absl::StrAppend(out, "<b>", HtmlText(finding.claim()), "</b><p class=\"mute\">rule ", HtmlText(finding.rule()), ", confidence ",
                  HtmlText(finding.confidence()),
                  finding.kernel().empty() ? "" : absl::StrCat(", kernel ", HtmlText(KernelTitle(finding.kernel()))), " · ",
                  HtmlText(finding.source()), "</p><ul>");
  for (const std::string& what : finding.try_this()) absl::StrAppend(out, "<li class=\"try\">try: ", HtmlText(what), "</li>");
  for (const std::string& evidence : finding.evidence()) absl::StrAppend(out, "<li>", HtmlText(evidence), "</li>");
  absl::StrAppend(out, "</ul></div>");
}

}  // namespace

std::string ReportHtml(const v1::Report& report) {
  std::string out = absl::StrCat(kHead, "<title>", HtmlText(report.title()), "</title></head><body><h1>", HtmlText(report.title()),
                                 "</h1><p class=\"lead\">", HtmlText(report.summary()), "</p><nav>");
  for (const v1::ReportSection& section : report.sections())
    absl::StrAppend(&out, "<a href=\"#", HtmlText(section.name()), "\">", HtmlText(section.title()), "</a>");
  absl::StrAppend(&out, "</nav>");
  if (!report.findings().empty()) {
    absl::StrAppend(&out, "<h2>Findings</h2><p class=\"mute\">At the right: what it could save of the kernel's time, at most.</p>");
    for (const v1::Finding& finding : report.findings()) AddFinding(finding, &out);
  }
  if (!report.abstentions().empty()) {
    absl::StrAppend(&out, "<h2>Not judged</h2><ul>");
    for (const v1::Abstention& one : report.abstentions())
      absl::StrAppend(&out, "<li>", HtmlText(one.question()), ": ", HtmlText(one.why()),
                      one.pass().empty() ? "" : absl::StrCat(" <code>--pass ", HtmlText(one.pass()), "</code>"),
                      one.cost_s() > 0 ? absl::StrCat(", about ", Figure(one.cost_s()), " s") : "", "</li>");
    absl::StrAppend(&out, "</ul>");
  }
  for (const v1::ReportSection& section : report.sections()) {
    absl::StrAppend(&out, "<h2 id=\"", HtmlText(section.name()), "\">", HtmlText(section.title()), "</h2>");
    if (!section.summary().empty()) absl::StrAppend(&out, "<p>", HtmlText(section.summary()), "</p>");
    if (!section.pass_ids().empty())
      absl::StrAppend(&out, "<p class=\"mute\">From passes ", PassNames({section.pass_ids().begin(), section.pass_ids().end()}), ".</p>");
    for (const v1::Picture& picture : section.pictures())
      absl::StrAppend(&out, "<figure>", picture.svg(), "<figcaption>", HtmlText(picture.caption()), "</figcaption></figure>");
    for (const v1::Table& table : section.tables()) AddTable(table, &out);
    if (!section.text().empty() && section.pictures().empty()) absl::StrAppend(&out, "<pre>", HtmlText(section.text()), "</pre>");
    if (section.notes().empty()) continue;
    absl::StrAppend(&out, "<ul class=\"mute\">");
    for (const std::string& note : section.notes()) absl::StrAppend(&out, "<li>", HtmlText(note), "</li>");
    absl::StrAppend(&out, "</ul>");
  }
  absl::StrAppend(&out, "</body></html>\n");
  return out;
}

}  // namespace sextant::analysis
