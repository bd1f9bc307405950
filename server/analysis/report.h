// One document from a job: a summary, findings, sections with tables and pictures, and what could not be judged.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/sections/section.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// Bytes of Report.tldr, at most: 2,000 tokens. Numbers and names are dense: the reports of the recordings take 3.0 to 3.3 bytes a
// token (o200k and cl100k encodings).
inline constexpr size_t kMaxTldrBytes = 5900;

// Fields, and the text that `format` asks for: unspecified or MARKDOWN `markdown`, HTML `html`, TLDR `tldr`. Only the
// `sections` named (empty: all); INVALID_ARGUMENT: there is none of that name. FAILED_PRECONDITION: no pass is
// planned yet. `tables` has "passes" and "environment" too, for readers that know no sections.
absl::StatusOr<v1::Report> MakeReport(const ReportInputs& inputs, const std::string& task, v1::ReportFormat format,
                                      const std::vector<std::string>& sections);

// One text each, from the fields. Everything a workload named is data: it is escaped, and cut.
std::string ReportMarkdown(const v1::Report& report);
std::string ReportHtml(const v1::Report& report);
// `inputs` for what the fields do not have in short form.
std::string ReportTldr(const v1::Report& report, const ReportInputs& inputs);

}  // namespace sextant::analysis
