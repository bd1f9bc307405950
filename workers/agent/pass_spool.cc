// The second half of PassRunner: what a pass left becomes a spool entry, and is cleared away.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "spdlog/spdlog.h"
#include "workers/agent/failures.h"
#include "workers/agent/pass_attempt.h"
#include "workers/agent/pass_runner.h"
#include "workers/sandbox/spec_file.h"

namespace sextant::agent {
namespace {

// Adds the regular file at `path` beneath `directory` as an artifact. OUT_OF_RANGE: beyond
// `max_bytes`.
absl::Status AddArtifact(const std::filesystem::path& directory, const std::string& path,
                         const std::string& name, const std::string& kind, uint64_t max_bytes,
                         SpoolWriter& writer, v1::PassResult& result) {
  ASSIGN_OR_RETURN(Fd beneath, OpenDirectory(directory));
  ASSIGN_OR_RETURN(Fd file, OpenRegularBeneath(beneath.get(), path));
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(file.get()));
  if (size > max_bytes) {
    return absl::OutOfRangeError(
        absl::StrCat(path, " has ", size, " bytes, more than ", max_bytes));
  }
  v1::Artifact artifact;
  artifact.set_name(name);
  artifact.set_kind(kind);
  RETURN_IF_ERROR(writer.AddBlob(file.get(), &artifact));
  *result.add_artifacts() = std::move(artifact);
  return absl::OkStatus();
}

bool IsEmptyFile(const std::filesystem::path& path) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  return error || size == 0;
}

}  // namespace

std::unique_ptr<SpoolEntry> PassRunner::Spool(Pass& pass, Attempt& attempt) {
  absl::Status status;
  {
    absl::StatusOr<std::unique_ptr<SpoolWriter>> writer =
        SpoolWriter::Create(state_.spool, pass.ref());
    status = writer.status();
    if (status.ok()) status = SpoolFiles(attempt, **writer);
    if (status.ok() && attempt.assignment.keep() && attempt.recording.empty()) Keep(attempt);
    if (status.ok()) {
      absl::StatusOr<SpoolEntry> entry = (*writer)->Finish(attempt.commit);
      if (entry.ok()) return std::make_unique<SpoolEntry>(*std::move(entry));
      status = entry.status();
    }
  }
  // Without room for the result there is still room to say so.
  auto entry = std::make_unique<SpoolEntry>();
  entry->commit = std::move(attempt.commit);
  v1::PassResult& result = *entry->commit.mutable_result();
  result.clear_artifacts();
  result.clear_counters();
  result.clear_trace_digest();
  result.set_events(0);
  result.set_dropped(0);
  result.set_partial(false);
  *result.mutable_failure() = FailureOfStatus("collect", status);
  return entry;
}

absl::Status PassRunner::SpoolFiles(Attempt& attempt, SpoolWriter& writer) {
  v1::PassResult& result = attempt.result();
  for (const std::string& chunk : attempt.collected.chunks) {
    RETURN_IF_ERROR(writer.AddChunk(chunk));
  }
  result.set_trace_digest(writer.TraceDigest());
  if (attempt.ran) {
    for (const auto& [name, path] : {std::pair("stdout", attempt.out), {"stderr", attempt.err}}) {
      if (IsEmptyFile(path)) continue;
      RETURN_IF_ERROR(AddArtifact(attempt.root, name, name, "log", UINT64_MAX, writer, result));
    }
  }
  // Errors about one file are the pass's; an error of the spool itself is returned.
  const auto ours = [](const absl::Status& status) {
    return status.code() == absl::StatusCode::kResourceExhausted ||
           status.code() == absl::StatusCode::kInternal;
  };
  const uint64_t file_bytes = attempt.spec.limits.file_bytes();
  for (const backends::Collected::FileArtifact& file : attempt.collected.artifacts) {
    if (!RoomForArtifact(result)) break;
    const std::filesystem::path beneath = file.path.lexically_relative(attempt.results);
    const absl::Status added = AddArtifact(attempt.results, beneath.string(), file.name, file.kind,
                                           file_bytes, writer, result);
    if (ours(added)) return added;
    if (!added.ok()) {
      result.add_notes(absl::StrCat("artifact ", file.name, ": ", added.message()));
    }
  }
  for (const backends::Collected::MadeArtifact& made : attempt.collected.made) {
    RETURN_IF_ERROR(AddMade(made.name, made.kind, made.bytes, writer, result));
  }
  for (const v1::DataTable& table : attempt.collected.tables) {
    RETURN_IF_ERROR(AddMade(absl::StrCat(table.name(), ".table"), table::kArtifactKind,
                            table::Encode(table), writer, result));
  }
  if (!attempt.ran) return absl::OkStatus();
  for (const v1::Output& output : attempt.assignment.outputs()) {
    const absl::Status added = AddArtifact(attempt.work, output.path(), output.name(), "output",
                                           file_bytes, writer, result);
    if (ours(added)) return added;
    if (!added.ok() && !result.has_failure()) {
      attempt.Fail(MakeFailure(
          v1::PROGRAM_FAILED, "collect",
          absl::StrCat("output \"", output.name(), "\": ", added.message()),
          "the program must leave a regular file there, not a link, within limits.file_bytes"));
    }
  }
  return absl::OkStatus();
}

bool PassRunner::RoomForArtifact(v1::PassResult& result) const {
  if (result.artifacts_size() < static_cast<int>(options_.limits.max_artifacts)) return true;
  result.add_notes(absl::StrCat("artifacts beyond ", options_.limits.max_artifacts,
                                " (max_artifacts) were left out"));
  return false;
}

absl::Status PassRunner::AddMade(const std::string& name, const std::string& kind,
                                 std::string_view bytes, SpoolWriter& writer,
                                 v1::PassResult& result) const {
  if (!RoomForArtifact(result)) return absl::OkStatus();
  v1::Artifact artifact;
  artifact.set_name(name);
  artifact.set_kind(kind);
  RETURN_IF_ERROR(writer.AddBlob(bytes, &artifact));
  *result.add_artifacts() = std::move(artifact);
  return absl::OkStatus();
}

void PassRunner::Keep(Attempt& attempt) {
  std::error_code error;
  const std::filesystem::path kept = state_.kept / AttemptName(attempt.assignment.pass());
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> others;
  for (const auto& entry : std::filesystem::directory_iterator(state_.kept, error)) {
    others.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(others.begin(), others.end());
  for (size_t i = 0; others.size() - i >= options_.limits.kept_passes && i < others.size(); ++i) {
    RemoveTree(others[i].second).IgnoreError();
  }
  absl::Status status = RemoveTree(kept);
  if (status.ok() && rename(attempt.root.c_str(), kept.c_str()) != 0) {
    status = ErrnoStatus(errno, kept.string());
  }
  if (status.ok()) {
    sandbox::RunSpec spec = attempt.spec;
    spec.work_dir = kept / "work";
    spec.results_dir = kept / "results";
    spec.stdout_path = kept / "stdout";
    spec.stderr_path = kept / "stderr";
    status = sandbox::WriteRunSpec(spec, kept / kRunSpecFile);
  }
  if (status.ok()) {
    attempt.result().set_kept_path(kept.string());
  } else {
    attempt.result().add_notes(absl::StrCat("could not keep the directory: ", status.message()));
  }
}

}  // namespace sextant::agent
