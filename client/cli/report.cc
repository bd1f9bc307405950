// `sextant report`: one document from a job.
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/output_file.h"
#include "client/cli/text.h"

namespace sextant::cli {

int Report(Context& context, const ReportOptions& options) {
  if (options.format == "json") context.json = true;
  v1::GetReportRequest request;
  request.set_job_id(options.job_id);
  request.set_task(options.task);
  request.set_kernel(options.kernel);
  for (const std::string& section : options.sections) request.add_sections(section);
  request.set_format(options.format == "html" ? v1::HTML : options.format == "tldr" ? v1::TLDR
                     : context.json           ? v1::REPORT_FORMAT_UNSPECIFIED
                                              : v1::MARKDOWN);
  const auto report = context.service().GetReport(request);
  if (!report.ok()) return context.Fail(report.status());
  if (context.json) {
    if (!options.output.empty()) return context.Usage("-o writes md, html and tldr; redirect JSON");
    context.PrintJson(*report);
    return kOk;
  }
  auto file = OutputFile::Open(options.output, context.out);
  if (!file.ok()) return context.Usage(file.status().message());
  const std::string& text = options.format == "html" ? report->html() : options.format == "tldr" ? report->tldr() : report->markdown();
  std::string out = (*file)->to_file() ? text : EscapeLines(text);
  if (out.empty() || out.back() != '\n') out.push_back('\n');
  absl::Status status = (*file)->Write(out);
  if (status.ok()) status = (*file)->Finish();
  if (!status.ok()) return context.Fail(status);
  if ((*file)->to_file()) context.Note(absl::StrCat("wrote ", Escape(options.output), ", ", FormatBytes((*file)->bytes())));
  return kOk;
}

}  // namespace sextant::cli
