// Analysis::Export: which passes, in which format.
#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/analysis.h"
#include "server/analysis/export.h"
#include "server/analysis/parquet.h"
#include "server/analysis/perfetto_exporter.h"
#include "server/analysis/pprof.h"
#include "server/analysis/selection.h"
#include "server/analysis/table_export.h"

namespace sextant::analysis {
namespace {

constexpr char kSamples[] = "pc_samples";
constexpr char kBarriers[] = "barriers";

// The passes asked for (all when none is) that have what is wanted, `what` in words. Empty: none has.
absl::StatusOr<PassList> Wanted(const v1::ExportTraceRequest& request, const v1::TaskInfo& task,
                              const std::vector<v1::PassInfo>& passes, absl::string_view what,
                              const std::function<bool(const v1::PassInfo&)>& has) {
  PassList wanted;
  const auto& ids = request.pass_ids();
  for (const v1::PassInfo& pass : passes) {
    const bool named = std::find(ids.begin(), ids.end(), pass.pass_id()) != ids.end();
    if ((ids.empty() || named) && has(pass)) {
      wanted.push_back(&pass);
    } else if (named) {
      return absl::FailedPreconditionError(
          absl::StrCat("pass_ids: pass ", pass.pass_id(),
                       pass.has_result() ? absl::StrCat(" left no ", what) : " has not ended yet"));
    }
  }
  for (int64_t id : ids)
    if (std::none_of(wanted.begin(), wanted.end(),
                     [id](const auto* pass) { return pass->pass_id() == id; }))
      return absl::NotFoundError(
          absl::StrCat("pass_ids: task ", task.path(), " has no pass ", id));
  return wanted;
}

std::unique_ptr<RowWriter> MakeRows(v1::ExportFormat format, std::vector<RowColumn> columns,
                                    int64_t job_id, absl::string_view task, ByteSink sink) {
  if (format == v1::CSV) return MakeCsvRows(std::move(columns), sink);
  return MakeParquetRows(std::move(columns),
                         {{"sextant.job", absl::StrCat(job_id)}, {"sextant.task", std::string(task)}},
                         sink);
}

}  // namespace

absl::Status Analysis::Export(const v1::ExportTraceRequest& request, Sink sink) {
  ASSIGN_OR_RETURN(const auto task, FindTask(request.job_id(), request.task()));
  ASSIGN_OR_RETURN(const auto passes, Passes(request.job_id(), task.path()));
  if (!request.table().empty()) return ExportTable(request, task, passes, sink);
  if (request.format() == v1::PPROF) {
    ASSIGN_OR_RETURN(const bool done, ExportSamples(request, task, passes, sink));
    if (done) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto wanted,
                   Wanted(request, task, passes, "trace", [](const v1::PassInfo& pass) {
                     return !pass.result().trace_digest().empty();
                   }));
  if (wanted.empty()) {
    const auto why = SelectPasses(passes, "").status();
    return why.ok() ? absl::FailedPreconditionError("no pass left a trace") : why;
  }
  std::unique_ptr<TraceExporter> exporter;
  switch (request.format()) {
    case v1::CSV:
    case v1::PARQUET:
      exporter = MakeRowExporter(
          MakeRows(request.format(), InstanceColumns(), request.job_id(), task.path(), sink));
      break;
    case v1::PERFETTO: {
      v1::GetTimelineRequest whole;
      whole.set_job_id(request.job_id());
      whole.set_task(task.path());
      const auto timeline = Timeline(whole);   // without one there are the passes
      exporter = MakePerfettoExporter(timeline.ok() ? *timeline : v1::Timeline(), sink);
      break;
    }
    case v1::PPROF:
      exporter = MakePprofExporter(sink);
      break;
    default:
      exporter = MakeChromeExporter(sink);
  }
  RETURN_IF_ERROR(exporter->Begin());
  for (const v1::PassInfo* pass : wanted) {
    analysis::Table barriers;
    if (request.format() == v1::PERFETTO && PassTables::HasTable(*pass, kBarriers)) {
      auto read = tables_.Read(*pass, kBarriers);
      if (read.ok()) barriers = *std::move(read);
      else if (!absl::IsNotFound(read.status())) return read.status();   // removed by retention
    }
    RETURN_IF_ERROR(exporter->BeginPass(*pass, barriers.get()));
    RETURN_IF_ERROR(reader_.Read(pass->result().trace_digest(), {},
                                 [&](const chunk::Decoded& chunk) { return exporter->Add(chunk); }),
                    "reading the trace of pass ", pass->pass_id());
    RETURN_IF_ERROR(exporter->EndPass());
  }
  return exporter->End();
}

absl::Status Analysis::ExportTable(const v1::ExportTraceRequest& request, const v1::TaskInfo& task,
                                   const std::vector<v1::PassInfo>& passes, Sink sink) {
  const std::string& name = request.table();
  ASSIGN_OR_RETURN(const auto wanted,
                   Wanted(request, task, passes, absl::StrCat("table \"", name, "\""),
                          [&name](const v1::PassInfo& pass) { return PassTables::HasTable(pass, name); }));
  if (wanted.empty()) {
    std::vector<std::string> names;
    for (const v1::PassInfo& pass : passes)
      for (std::string& one : PassTables::Names(pass))
        if (std::find(names.begin(), names.end(), one) == names.end()) names.push_back(std::move(one));
    return absl::NotFoundError(absl::StrCat(
        "table: no pass left \"", name, "\"; ",
        names.empty() ? "they left none" : absl::StrCat("they left ", absl::StrJoin(names, ", "))));
  }
  // Twice, one at a time: first what columns there are, then the rows.
  TableColumns columns;
  for (const v1::PassInfo* pass : wanted) {
    ASSIGN_OR_RETURN(const analysis::Table table, tables_.Read(*pass, name));
    RETURN_IF_ERROR(columns.See(*table));
  }
  const auto rows =
      MakeRows(request.format(), columns.columns(), request.job_id(), task.path(), sink);
  RETURN_IF_ERROR(rows->Begin());
  for (const v1::PassInfo* pass : wanted) {
    ASSIGN_OR_RETURN(const analysis::Table table, tables_.Read(*pass, name));
    RETURN_IF_ERROR(columns.Write(*table, pass->pass_id(), pass->ordinal(), rows.get()));
  }
  return rows->Finish();
}

absl::StatusOr<bool> Analysis::ExportSamples(const v1::ExportTraceRequest& request,
                                             const v1::TaskInfo& task,
                                             const std::vector<v1::PassInfo>& passes, Sink sink) {
  const auto wanted = Wanted(request, task, passes, "samples", [](const v1::PassInfo& pass) {
    return PassTables::HasTable(pass, kSamples);
  });
  if (!wanted.ok() || wanted->empty()) return false;   // passes with a trace may have been named
  SampleProfile profile;
  for (const v1::PassInfo* pass : *wanted) {
    ASSIGN_OR_RETURN(const analysis::Table table, tables_.Read(*pass, kSamples));
    RETURN_IF_ERROR(profile.Add(*table));
  }
  RETURN_IF_ERROR(sink(profile.Finish()));
  return true;
}

}  // namespace sextant::analysis
