// `sextant import`: what other tools left, as a job like any other (docs/formats.md).
#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/bundle.h"
#include "client/cli/commands.h"
#include "client/cli/replay.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

constexpr char kTask[] = "profile";
constexpr char kImport[] = "import";
constexpr char kFolder[] = "imports";

bool IsRecording(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[6] = {};
  return file.read(magic, sizeof magic) && absl::string_view(magic, sizeof magic) == "sxrec ";
}

// Adds a file, or all files of a folder, to the bundle's `folder`.
absl::Status AddInput(const std::string& named, const std::string& folder, Bundle& bundle) {
  std::error_code error;
  if (fs::is_directory(named, error)) return bundle.AddDirectory(named, folder);
  const fs::path path(named);
  return bundle.AddFile(named, absl::StrCat(folder, "/", path.filename().string()));
}

v1::PassSpec ImportPass(const ImportOptions& options, const std::string& folder) {
  v1::PassSpec pass;
  pass.set_backend(kImport);
  pass.set_repeat(1);
  auto& out = *pass.mutable_options();
  out["path"] = folder;
  if (!options.kind.empty()) out["kind"] = options.kind;
  if (!options.machine.empty()) out["machine"] = options.machine;
  if (!options.kernel.empty()) out["kernel"] = options.kernel;
  if (!options.scopes.empty()) out["scopes"] = options.scopes;
  return pass;
}

absl::StatusOr<std::map<std::string, std::string>> BuildGraph(Context& context,
                                                              const ImportOptions& options,
                                                              v1::JobGraph& graph) {
  Bundle bundle;
  v1::TaskSpec& task = *graph.add_tasks();
  task.set_name(kTask);
  v1::ProfileTask& profile = *task.mutable_profile();
  size_t index = 0;
  for (const std::string& named : options.files) {
    if (IsRecording(named)) {
      v1::PassSpec recording;
      (*recording.mutable_options())[kRecordingOption] = named;
      ASSIGN_OR_RETURN(const std::vector<v1::PassSpec> recorded, AddRecordings(recording, bundle));
      for (const v1::PassSpec& one : recorded) *profile.add_passes() = one;
      continue;
    }
    const std::string folder = absl::StrCat(kFolder, "/", options.together ? 0 : index);
    RETURN_IF_ERROR(AddInput(named, folder, bundle));
    if (index++ == 0 || !options.together) *profile.add_passes() = ImportPass(options, folder);
  }
  v1::Workload& workload = *profile.mutable_workload();
  workload.add_argv(kImport);
  RETURN_IF_ERROR(FillLabels(options.labels, graph));
  graph.set_name(options.name.empty() ? fs::absolute(options.files[0]).lexically_normal().filename().string()
                                      : options.name);
  if (graph.name().empty()) graph.set_name(kImport);
  for (const std::string& note : bundle.notes()) context.Note(absl::StrCat("note: ", note));
  auto files = HashBundle(bundle, workload);
  // Nothing is run: who may execute a file here does not matter.
  for (v1::File& file : *workload.mutable_files()) file.clear_mode();
  return files;
}

// The same files, told the same about, are the same job. Maps of a message have no order when serialized.
std::string RequestIdOf(const v1::JobGraph& graph) {
  std::string text = graph.name();
  const auto add = [&text](absl::string_view part) { absl::StrAppend(&text, "\n", part.size(), ":", part); };
  const auto add_map = [&add](const auto& map) {
    for (const auto& [name, value] : std::map<std::string, std::string>(map.begin(), map.end())) {
      add(name);
      add(value);
    }
  };
  add_map(graph.labels());
  for (const v1::PassSpec& pass : graph.tasks(0).profile().passes()) {
    add(pass.backend());
    add_map(pass.options());
  }
  for (const v1::File& file : graph.tasks(0).profile().workload().files()) {
    add(file.path());
    add(file.digest());
  }
  return absl::StrCat("import-", absl::BytesToHexString(HashBytes(text)));
}

}  // namespace

int Import(Context& context, const ImportOptions& options) {
  v1::SubmitJobRequest request;
  auto files = BuildGraph(context, options, *request.mutable_graph());
  if (!files.ok()) return context.Usage(files.status().message());
  request.set_request_id(options.again ? NewRequestId() : RequestIdOf(request.graph()));
  request.set_submitter(Submitter(context));
  ShowOptions show;
  show.detach = options.detach;
  show.no_timeline = options.no_timeline;
  show.timeline.task = kTask;
  return SubmitAndShow(context, request, *files, show);
}

}  // namespace sextant::cli
