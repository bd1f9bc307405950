// PassRunner and what was measured elsewhere: making recordings of what a pass left, playing one in place of
// a run, and importing the files of other tools.
#include <cctype>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "workers/agent/failures.h"
#include "workers/agent/pass_attempt.h"
#include "workers/agent/recording.h"

namespace sextant::agent {
namespace {

// In Provenance.extra.
constexpr char kReplayed[] = "replayed";
constexpr char kImported[] = "imported";

// Sorts as the passes of the task do.
std::string RecordingName(const v1::Assignment& assignment) {
  std::string name = absl::StrFormat("job%d-%s-%04d-%s", assignment.job_id(), assignment.task(),
                                     assignment.ordinal(), assignment.spec().backend());
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  }
  if (name.size() > 200) name.erase(0, name.size() - 200);
  return absl::StrCat(name, ".rec");
}

v1::Failure BadRecording(const std::string& path, absl::string_view what) {
  return MakeFailure(v1::REJECTED, "run", absl::StrCat("recording ", path, ": ", what),
                     "give a file that `sextant-worker --record DIR` made, and a worker with the "
                     "backend that it was made with");
}

}  // namespace

void PassRunner::Record(Attempt& attempt) const {
  v1::Recording recording;
  *recording.mutable_assignment() = attempt.assignment;
  *recording.mutable_exit() = attempt.record.exit;
  *recording.mutable_provenance() = attempt.result().provenance();
  recording.set_started_unix_ns(attempt.record.started_unix_ns);
  recording.set_started_monotonic_ns(attempt.record.started_monotonic_ns);
  const std::filesystem::path path = options_.record_dir / RecordingName(attempt.assignment);
  absl::Status status = MakeDirectory(options_.record_dir, 0755);
  if (status.ok()) status = WriteRecording(std::move(recording), attempt.root, path);
  if (!status.ok()) {
    attempt.result().add_notes(absl::StrCat("the pass was not recorded: ", status.message()));
  }
}

bool PassRunner::Play(Attempt& attempt) {
  const auto refuse = [&](absl::string_view what) {
    return attempt.Fail(BadRecording(attempt.recording, what));
  };
  absl::StatusOr<Fd> work = OpenDirectory(attempt.work);
  if (!work.ok()) return attempt.Fail(FailureOfStatus("run", work.status()));
  absl::StatusOr<Fd> file = OpenRegularBeneath(work->get(), attempt.recording);
  if (!file.ok()) return refuse(file.status().message());
  absl::StatusOr<v1::Recording> recording =
      UnpackRecordingUntrusted(file->get(), attempt.root, attempt.spec.limits.disk_bytes());
  if (absl::IsResourceExhausted(recording.status()) || absl::IsInternal(recording.status())) {
    return attempt.Fail(FailureOfStatus("run", recording.status()));
  }
  if (!recording.ok()) return refuse(recording.status().message());

  attempt.recorded = std::move(*recording->mutable_assignment());
  const std::string& name = attempt.recorded.spec().backend();
  const auto offered = rooms_.backends.find(name);
  if (offered == rooms_.backends.end() || offered->second.backend.get() == attempt.backend) {
    return refuse(absl::StrCat("it was made with backend \"", name.substr(0, 100),
                               "\", which this worker does not have"));
  }
  attempt.backend = offered->second.backend.get();
  attempt.record.assignment = &attempt.recorded;
  attempt.record.exit = recording->exit();
  attempt.record.started_unix_ns = recording->started_unix_ns();
  attempt.record.started_monotonic_ns = recording->started_monotonic_ns();
  attempt.record.recorded_clock_hz = recording->provenance().clock_hz();
  v1::PassResult& result = attempt.result();
  *result.mutable_replayed() = attempt.recorded.spec();
  result.mutable_replayed()->set_repeat(1);
  *result.mutable_provenance() = recording->provenance();
  (*result.mutable_provenance()->mutable_extra())[kReplayed] = "yes";
  return NoteEnd(attempt);
}

bool PassRunner::BeginImport(Attempt& attempt) {
  attempt.record.assignment = &attempt.assignment;
  attempt.record.exit.set_verdict(v1::EXITED);
  return NoteEnd(attempt);
}

// Nothing is known of the machine but what the files or the user say: numbers of this one stay out.
void PassRunner::NoteImport(const backends::Imported& imported, Attempt& attempt) const {
  v1::PassResult& result = attempt.result();
  *result.mutable_replayed() = imported.measured_as;
  v1::Provenance provenance;
  provenance.set_machine_class(absl::StrCat(
      "imported, ", imported.machine.empty() ? "machine not known" : imported.machine));
  provenance.set_device(imported.machine);
  provenance.set_backend(imported.measured_as.backend());
  provenance.set_worker(options_.name);
  provenance.set_started_unix_ns(imported.started_unix_ns);
  provenance.set_clock_hz(result.provenance().clock_hz());
  (*provenance.mutable_extra())[kImported] = imported.tool;
  *result.mutable_provenance() = std::move(provenance);
}

}  // namespace sextant::agent
