// `sextant query`, `blobs`, `logs`, `version`.
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/bundle.h"
#include "client/cli/commands.h"
#include "client/cli/output_file.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/upload.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace {

bool NumericType(const std::string& type) {
  return absl::StrContains(type, "int") || absl::StrContains(type, "numeric") || absl::StrContains(type, "float") ||
         absl::StrContains(type, "double") || absl::StrContains(type, "real");
}

// One log of one pass. On a terminal its control characters are shown, not obeyed.
absl::Status PrintLog(Context& context, const v1::Artifact& artifact, std::ostream& out, bool escape) {
  v1::GetBlobRequest request;
  request.set_digest(artifact.digest());
  if (artifact.digest().empty()) return absl::OkStatus();
  return context.service().GetBlob(request, [&](const v1::GetBlobResponse& part) {
    if (escape) {
      out << EscapeLines(part.data());
    } else {
      out.write(part.data().data(), static_cast<std::streamsize>(part.data().size()));
    }
    return out ? absl::OkStatus() : absl::CancelledError("standard output was closed");
  });
}

}  // namespace

int Query(Context& context, const QueryOptions& options) {
  v1::QueryRequest request;
  std::string sql = options.sql;
  if (sql == "-") sql.assign(std::istreambuf_iterator<char>(context.in), {});
  request.set_sql(sql);
  request.set_max_rows(options.max_rows);
  if (!options.timeout.empty()) {
    auto seconds = ParseSeconds(options.timeout);
    if (!seconds.ok()) return context.Usage(absl::StrCat("--timeout: ", seconds.status().message()));
    request.set_timeout_s(*seconds);
  }
  auto response = context.service().Query(request);
  if (!response.ok()) return context.Fail(response.status());
  if (context.json) {
    context.PrintJson(*response);
    return kOk;
  }
  std::vector<Table::Head> heads;
  for (const v1::Column& column : response->columns()) {
    heads.push_back({options.csv ? column.name() : Escape(column.name(), 60),
                     NumericType(column.type()) ? Table::Align::kRight : Table::Align::kLeft});
  }
  Table table(heads);
  for (const v1::Row& row : response->rows()) {
    std::vector<std::string> cells;
    for (const v1::Cell& cell : row.cells()) cells.push_back(cell.is_null() && !options.csv ? "∅" : cell.text());
    table.Add(std::move(cells));
  }
  if (options.csv) {
    context.out << table.Csv();
  } else {
    context.out << table.Text(context.out_terminal.color,
                              "", context.out_terminal.tty ? context.out_terminal.width : 0);
    context.Note(absl::StrFormat("(%s, %.1f ms)", Plural(table.size(), "row", "rows"), response->elapsed_s() * 1e3));
  }
  if (response->truncated()) {
    context.Note(absl::StrCat("the answer was cut by ", Escape(response->truncated_by(), 40),
                              "; add LIMIT, aggregate, or raise --max-rows"));
  }
  return kOk;
}

int BlobsList(Context& context, const std::string& submitter) {
  v1::ListBlobsRequest request;
  request.set_submitter(submitter);
  Table table({{"digest"}, {"size", Table::Align::kRight}, {"submitter"}, {"stored"}});
  table.set_max_cell(64);
  uint64_t used = 0, quota = 0;
  while (true) {
    auto page = context.service().ListBlobs(request);
    if (!page.ok()) return context.Fail(page.status());
    used = page->used_bytes();
    quota = page->quota_bytes();
    for (const v1::BlobInfo& blob : page->blobs()) {
      if (context.json) {
        context.PrintJson(blob);
      } else {
        table.Add({Hex(blob.digest()), FormatBytes(blob.size_bytes()), blob.submitter(),
                   FormatAge(blob.created_unix_ns(), NowUnixNs())});
      }
    }
    if (!page->more() || page->blobs().empty()) break;
    request.set_after_digest(page->blobs().rbegin()->digest());
  }
  if (context.json) return kOk;
  if (!table.empty()) context.out << table.Text(context.out_terminal.color);
  context.out << Plural(table.size(), "blob", "blobs") << ", " << FormatBytes(used) << " used"
              << (quota > 0 ? absl::StrCat(" of ", FormatBytes(quota)) : "") << "\n";
  return kOk;
}

int BlobsPut(Context& context, const std::vector<std::string>& files) {
  std::map<std::string, std::string> by_digest;
  std::vector<std::pair<std::string, Digested>> hashed;
  for (const std::string& file : files) {
    auto digested = HashFile(file);
    if (!digested.ok()) return context.Usage(digested.status().message());
    by_digest[digested->digest] = file;
    hashed.emplace_back(file, *digested);
  }
  auto summary = UploadMissing(context.service(), by_digest, Submitter(context));
  if (!summary.ok()) return context.Fail(summary.status());
  for (const auto& [file, digested] : hashed) {
    if (context.json) {
      v1::BlobInfo info;
      info.set_digest(digested.digest);
      info.set_size_bytes(digested.size_bytes);
      context.PrintJson(info);
    } else {
      context.out << Hex(digested.digest) << "  " << Escape(file) << "\n";
    }
  }
  context.Note(absl::StrCat(summary->sent, " of ", Plural(summary->files, "blob", "blobs"), " sent, the rest was there"));
  return kOk;
}

int BlobsGet(Context& context, const std::string& digest, const std::string& output) {
  auto raw = ParseDigest(digest);
  if (!raw.ok()) return context.Usage(raw.status().message());
  auto file = OutputFile::Open(output, context.out);
  if (!file.ok()) return context.Usage(file.status().message());
  const absl::Status status = FetchBlob(context, *raw, **file);
  return status.ok() ? kOk : context.Fail(status);
}

int Logs(Context& context, const LogsOptions& options) {
  v1::ListPassesRequest request;
  request.set_task(options.task);
  const bool pass = absl::StartsWith(options.id, "p");
  int64_t id = 0;
  if (!absl::SimpleAtoi(options.id.substr(pass ? 1 : 0), &id) || id <= 0) {
    return context.Usage(absl::StrCat("\"", Escape(options.id, 40), "\" is no id; write a job (12) or a pass (p34)"));
  }
  if (pass) {
    request.set_pass_id(id);
  } else {
    request.set_job_id(id);
  }
  auto passes = context.service().ListPasses(request);
  if (!passes.ok()) return context.Fail(passes.status());
  std::vector<const v1::PassInfo*> chosen;
  for (const v1::PassInfo& p : passes->passes()) {
    if (p.has_result()) chosen.push_back(&p);
  }
  if (chosen.empty()) {
    return context.Fail(absl::NotFoundError(absl::StrCat(
        pass ? "pass p" : "job ", id, " has no log yet: ",
        passes->passes().empty() ? "it has no passes" : "no pass has ended")));
  }
  if (!options.all && chosen.size() > 1) {
    // One pass speaks for the others; a failed one has more to say.
    const v1::PassInfo* one = chosen[0];
    for (const v1::PassInfo* p : chosen) {
      if (p->state() == v1::FAILED) {
        one = p;
        break;
      }
    }
    context.Note(absl::StrCat("pass p", one->pass_id(), ", one of ", chosen.size(), " (--all shows all)"));
    chosen = {one};
  }
  for (const v1::PassInfo* p : chosen) {
    if (context.json) {
      context.PrintJson(*p);
      continue;
    }
    if (chosen.size() > 1) {
      context.out << context.Bold(absl::StrCat("== pass p", p->pass_id(), " ", Escape(p->task(), 80), " ",
                                               DescribeExit(p->result().exit()))) << "\n";
    }
    for (const v1::Artifact& artifact : p->result().artifacts()) {
      const bool is_out = artifact.name() == "stdout", is_err = artifact.name() == "stderr";
      if ((!is_out && !is_err) || (options.stderr_only && !is_err) || (options.stdout_only && !is_out)) continue;
      const bool to_err = is_err && !options.stderr_only && !options.all;
      const bool tty = to_err ? context.err_terminal.tty : context.out_terminal.tty;
      const absl::Status status =
          PrintLog(context, artifact, to_err ? context.err : context.out, tty && !options.raw);
      if (!status.ok()) return context.Fail(status);
    }
    context.out << std::flush;
    context.err << std::flush;
  }
  return kOk;
}

int Version(Context& context) {
  auto service = context.service().Describe();
  if (context.json) {
    if (!service.ok()) return context.Fail(service.status());
    context.PrintJson(*service);
    return kOk;
  }
  context.out << "sextant " SEXTANT_VERSION "\n";
  if (!service.ok()) {
    context.out << "service at " << Escape(context.address()) << ": not reachable\n";
    return context.server.empty() && absl::IsUnavailable(service.status()) ? kOk : context.Fail(service.status());
  }
  context.out << "service at " << Escape(context.address()) << ": " << Escape(service->version(), 60) << ", "
              << Escape(service->database(), 200) << ", schema " << service->schema_version() << "\n"
              << Plural(service->ready_passes(), "pass", "passes") << " ready, " << service->running_passes()
              << " running\n";
  Table table({{"worker"}, {"state"}, {"running", Table::Align::kRight}, {"cpu slots", Table::Align::kRight},
               {"devices"}, {"backends"}, {"sandbox"}});
  std::string set_aside;
  for (const v1::WorkerSummary& w : service->workers()) {
    std::string devices, backends;
    if (!w.quarantine().empty()) {
      absl::StrAppend(&set_aside, Escape(w.info().name(), 60), " gets no work: ", Escape(w.quarantine(), 500), "\n");
    }
    for (const v1::Device& d : w.info().devices()) {
      absl::StrAppend(&devices, devices.empty() ? "" : ", ", d.name(), d.unhealthy().empty() ? "" : " (not well)");
      if (w.live() && !d.unhealthy().empty()) {
        absl::StrAppend(&set_aside, Escape(d.name(), 60), " of ", Escape(w.info().name(), 60), " gets no work: ",
                        Escape(d.unhealthy(), 500), "\n");
      }
    }
    for (const v1::BackendOffer& b : w.info().backends()) {
      if (b.available()) absl::StrAppend(&backends, backends.empty() ? "" : ", ", b.name());
    }
    table.Add({w.info().name(), !w.live() ? "gone" : w.quarantine().empty() ? "live" : "quarantined",
               absl::StrCat(w.running()), absl::StrCat(w.info().cpu_slots()), devices, backends, w.info().sandbox()});
  }
  if (table.empty()) {
    context.out << "no workers; start one:  sextant worker\n";
  } else {
    context.out << table.Text(context.out_terminal.color, "", context.out_terminal.width) << set_aside;
  }
  return kOk;
}

}  // namespace sextant::cli
