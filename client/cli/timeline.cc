// `sextant timeline`, `report`, `export`.
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/picture.h"
#include "client/cli/text.h"

namespace sextant::cli {

int TimelineCommand(Context& context, const TimelineOptions& options) {
  v1::GetTimelineRequest request;
  request.set_job_id(options.job_id);
  request.set_task(options.task);
  auto quantiles = ParseQuantiles(options.quantiles);
  if (!quantiles.ok()) return context.Usage(absl::StrCat("--quantiles: ", quantiles.status().message()));
  for (double q : *quantiles) request.add_quantiles(q);
  request.set_exact(options.exact);
  request.set_buckets(options.buckets);
  request.set_without_instances(options.regions_only);
  request.set_backend(options.backend);
  request.set_include_disturbed(options.include_disturbed);
  auto timeline = context.service().GetTimeline(request);
  if (!timeline.ok()) return context.Fail(timeline.status());
  if (context.json) {
    context.PrintJson(*timeline);
    return kOk;
  }
  Style style;
  style.width = options.width > 0 ? options.width : context.out_terminal.width;
  style.color = context.out_terminal.color;
  style.unicode = context.out_terminal.unicode && !options.ascii;
  context.out << DrawTimeline(*timeline, style) << std::flush;
  return kOk;
}

int Report(Context& context, int64_t job_id, const std::string& task) {
  v1::GetReportRequest request;
  request.set_job_id(job_id);
  request.set_task(task);
  auto report = context.service().GetReport(request);
  if (!report.ok()) return context.Fail(report.status());
  if (context.json) {
    context.PrintJson(*report);
  } else {
    context.out << EscapeLines(report->markdown());
    if (report->markdown().empty() || report->markdown().back() != '\n') context.out << "\n";
  }
  return kOk;
}

int Export(Context& context, int64_t job_id, const std::string& task, const std::string& format,
           const std::string& output, const std::vector<int64_t>& passes) {
  v1::ExportTraceRequest request;
  request.set_job_id(job_id);
  request.set_task(task);
  if (format == "chrome") {
    request.set_format(v1::CHROME_JSON);
  } else if (format == "csv") {
    request.set_format(v1::CSV);
  } else {
    return context.Usage(absl::StrCat("--format-trace ", Escape(format), ": write chrome or csv"));
  }
  for (int64_t id : passes) request.add_pass_ids(id);
  const bool to_file = !output.empty() && output != "-";
  // Written beside the name asked for, so that a broken export leaves no half file under it.
  const std::string partial = output + ".part";
  std::ofstream file;
  if (to_file) {
    file.open(partial, std::ios::binary | std::ios::trunc);
    if (!file) {
      return context.Usage(absl::StrCat("-o ", Escape(output), " cannot be written: ", std::strerror(errno)));
    }
  }
  std::ostream& out = to_file ? static_cast<std::ostream&>(file) : context.out;
  uint64_t bytes = 0;
  absl::Status status = context.service().ExportTrace(request, [&](const std::string& data) -> absl::Status {
    out.write(data.data(), static_cast<std::streamsize>(data.size()));
    bytes += data.size();
    if (!out) return absl::ResourceExhaustedError(absl::StrCat("writing ", Escape(output), " failed; is the disk full?"));
    return absl::OkStatus();
  });
  out.flush();
  if (to_file) {
    file.close();
    if (status.ok() && (file.fail() || std::rename(partial.c_str(), output.c_str()) != 0)) {
      status = absl::ResourceExhaustedError(absl::StrCat("writing ", Escape(output), " failed: ", std::strerror(errno)));
    }
    if (!status.ok()) std::remove(partial.c_str());
  }
  if (!status.ok()) return context.Fail(status);
  if (to_file) {
    context.Note(absl::StrCat("wrote ", Escape(output), ", ", FormatBytes(bytes),
                              format == "chrome" ? "; open it in https://ui.perfetto.dev" : ""));
  }
  return kOk;
}

}  // namespace sextant::cli
