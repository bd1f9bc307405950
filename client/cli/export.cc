// `sextant export`: what passes recorded, in other programs' formats (docs/formats.md).
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/output_file.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr char kNcuEnding[] = ".ncu-rep";

struct Format {
  const char* name;
  v1::ExportFormat format;   // unspecified: an artifact, as it is
  const char* ending;        // of files
  const char* opened_by;     // what to do with the file
};
constexpr Format kFormats[] = {
    {"perfetto", v1::PERFETTO, ".pftrace", "; open it in https://ui.perfetto.dev"},
    {"chrome", v1::CHROME_JSON, ".json", "; open it in https://ui.perfetto.dev"},
    {"csv", v1::CSV, ".csv", ""},
    {"parquet", v1::PARQUET, ".parquet", "; duckdb, pandas and polars read it"},
    {"pprof", v1::PPROF, ".pb.gz", "; look with `go tool pprof`"},
    {"ncu-rep", v1::EXPORT_FORMAT_UNSPECIFIED, kNcuEnding, "; open it with `ncu --import` or ncu-ui"},
};

const Format* FindFormat(const std::string& name, const std::string& output) {
  for (const Format& one : kFormats)
    if (name == one.name || (name.empty() && absl::EndsWith(output, one.ending))) return &one;
  return name.empty() ? &kFormats[1] : nullptr;
}

// The report of one ncu pass: the only one, or of the pass named.
absl::StatusOr<v1::Artifact> FindNcuReport(Context& context, const ExportOptions& options) {
  v1::ListPassesRequest request;
  request.set_job_id(options.job_id);
  request.set_task(options.task);
  std::vector<std::pair<int64_t, v1::Artifact>> found;
  for (bool more = true; more;) {
    auto page = context.service().ListPasses(request);
    if (!page.ok()) return page.status();
    for (const v1::PassInfo& pass : page->passes()) {
      request.set_after_pass_id(pass.pass_id());
      if (!options.passes.empty() && pass.pass_id() != options.passes[0]) continue;
      for (const v1::Artifact& artifact : pass.result().artifacts())
        if (absl::EndsWith(artifact.name(), kNcuEnding)) found.emplace_back(pass.pass_id(), artifact);
    }
    more = page->more() && !page->passes().empty();
  }
  if (found.empty())
    return absl::NotFoundError(absl::StrCat(
        options.passes.empty() ? absl::StrCat("job ", options.job_id)
                               : absl::StrCat("pass p", options.passes[0]),
        " left no report of Nsight Compute; `--pass ncu` makes one"));
  if (found.size() > 1)
    return absl::InvalidArgumentError(absl::StrCat(
        found.size(), " passes left a report; name one with --pass: ",
        absl::StrJoin(found, ", ", [](std::string* out, const auto& one) {
          absl::StrAppend(out, one.first);
        })));
  return found[0].second;
}

}  // namespace

int Export(Context& context, const ExportOptions& options) {
  const Format* format = FindFormat(options.format, options.output);
  if (format == nullptr) {
    std::vector<std::string> names;
    for (const Format& one : kFormats) names.push_back(one.name);
    return context.Usage(absl::StrCat("--as ", Escape(options.format), ": write one of ",
                                      absl::StrJoin(names, ", ")));
  }
  const bool as_it_is = format->format == v1::EXPORT_FORMAT_UNSPECIFIED;
  if (as_it_is && options.passes.size() > 1)
    return context.Usage("--pass: a file holds the report of one pass; name one");
  if (as_it_is && !options.table.empty()) return context.Usage("--table: only csv and parquet hold tables");
  std::string digest;
  if (as_it_is) {
    const auto report = FindNcuReport(context, options);
    if (!report.ok()) return context.Fail(report.status());
    digest = report->digest();
  }
  auto file = OutputFile::Open(options.output, context.out);
  if (!file.ok()) return context.Usage(file.status().message());
  absl::Status status;
  if (as_it_is) {
    status = FetchBlob(context, digest, **file);
  } else {
    v1::ExportTraceRequest request;
    request.set_job_id(options.job_id);
    request.set_task(options.task);
    request.set_format(format->format);
    request.set_table(options.table);
    for (int64_t id : options.passes) request.add_pass_ids(id);
    status = context.service().ExportTrace(
        request, [&](const std::string& data) { return (*file)->Write(data); });
    if (status.ok()) status = (*file)->Finish();
  }
  if (!status.ok()) return context.Fail(status);
  if ((*file)->to_file())
    context.Note(absl::StrCat("wrote ", Escape(options.output), ", ", FormatBytes((*file)->bytes()),
                              format->opened_by));
  return kOk;
}

}  // namespace sextant::cli
