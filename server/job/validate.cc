#include "server/job/validate.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"
#include "server/job/auto_plan.h"
#include "server/job/builtins.h"
#include "server/job/graph.h"
#include "server/job/limits.h"
#include "server/job/plan.h"

namespace sextant::job {
namespace {

using absl::InvalidArgumentError;
using absl::StrCat;

bool ValidName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("_.:@+-").find(c) != absl::string_view::npos;
  });
}

absl::Status CheckName(absl::string_view field, absl::string_view name, uint32_t max_bytes) {
  if (name.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", name.size(),
                                       " bytes, at most max_name_bytes = ", max_bytes));
  if (!ValidName(name))
    return InvalidArgumentError(
        StrCat(field, ": must be one or more of A-Z a-z 0-9 _ . : @ + -, is \"",
               absl::CHexEscape(name.substr(0, 64)), "\""));
  return absl::OkStatus();
}

// Text that people read and the database stores: without control characters.
absl::Status CheckText(absl::string_view field, absl::string_view text, uint32_t max_bytes) {
  if (text.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", text.size(),
                                       " bytes, at most max_name_bytes = ", max_bytes));
  for (unsigned char c : text)
    if (c < 0x20 || c == 0x7f)
      return InvalidArgumentError(StrCat(field, ": must not contain control characters"));
  return absl::OkStatus();
}

// The path of another task, "group/name".
absl::Status CheckReference(absl::string_view field, absl::string_view path,
                            const v1::ServiceLimits& limits) {
  for (absl::string_view name : absl::StrSplit(path, '/'))
    RETURN_IF_ERROR(CheckName(field, name, limits.max_name_bytes()));
  return absl::OkStatus();
}

// A path inside the working directory: relative, without "..", without control characters.
absl::Status CheckPath(absl::string_view field, absl::string_view path, uint32_t max_bytes) {
  if (path.empty()) return InvalidArgumentError(StrCat(field, ": must not be empty"));
  if (path.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", path.size(),
                                       " bytes, at most max_path_bytes = ", max_bytes));
  if (path.front() == '/')
    return InvalidArgumentError(StrCat(field, ": must be relative to the working directory"));
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..")
      return InvalidArgumentError(StrCat(field, ": must not contain empty parts, \".\" or \"..\""));
  }
  for (unsigned char c : path)
    if (c < 0x20 || c == 0x7f)
      return InvalidArgumentError(StrCat(field, ": must not contain control characters"));
  return absl::OkStatus();
}

absl::Status CheckWorkload(const v1::ServiceLimits& limits, const std::string& field,
                           v1::Workload* workload) {
  if (workload->argv().empty() || workload->argv(0).empty())
    return InvalidArgumentError(StrCat(field, ".argv: must name a program"));
  if (static_cast<uint32_t>(workload->argv_size()) > limits.max_argv())
    return InvalidArgumentError(StrCat(field, ".argv: ", workload->argv_size(),
                                       " arguments, at most max_argv = ", limits.max_argv()));
  uint64_t bytes = 0;
  for (int i = 0; i < workload->argv_size(); ++i) {
    bytes += workload->argv(i).size() + 1;
    if (workload->argv(i).find('\0') != std::string::npos)
      return InvalidArgumentError(StrCat(field, ".argv[", i, "]: must not contain a zero byte"));
  }
  if (bytes > limits.max_argv_bytes())
    return InvalidArgumentError(StrCat(field, ".argv: ", bytes, " bytes, at most max_argv_bytes = ",
                                       limits.max_argv_bytes()));
  if (static_cast<uint32_t>(workload->env_size()) > limits.max_env())
    return InvalidArgumentError(StrCat(field, ".env: ", workload->env_size(),
                                       " variables, at most max_env = ", limits.max_env()));
  bytes = 0;
  for (const auto& [name, value] : workload->env()) {
    bytes += name.size() + value.size() + 2;
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
      return InvalidArgumentError(StrCat(field, ".env[\"", absl::CHexEscape(name.substr(0, 64)),
                                         "\"]: names must be non-empty without \"=\", and no zero "
                                         "byte anywhere"));
    if (absl::StartsWith(name, "SEXTANT_"))
      return InvalidArgumentError(StrCat(field, ".env[\"", absl::CHexEscape(name.substr(0, 64)),
                                         "\"]: names beginning with SEXTANT_ are the service's"));
  }
  if (bytes > limits.max_env_bytes())
    return InvalidArgumentError(StrCat(field, ".env: ", bytes, " bytes, at most max_env_bytes = ",
                                       limits.max_env_bytes()));
  if (static_cast<uint32_t>(workload->files_size()) > limits.max_files_per_workload())
    return InvalidArgumentError(StrCat(field, ".files: ", workload->files_size(),
                                       ", at most max_files_per_workload = ",
                                       limits.max_files_per_workload()));
  absl::flat_hash_set<absl::string_view> paths;
  for (int i = 0; i < workload->files_size(); ++i) {
    const auto& file = workload->files(i);
    const std::string at = StrCat(field, ".files[", i, "]");
    RETURN_IF_ERROR(CheckPath(at + ".path", file.path(), limits.max_path_bytes()));
    if (file.digest().size() != 32)
      return InvalidArgumentError(StrCat(at, ".digest: must be the 32 bytes of a SHA-256, has ",
                                         file.digest().size()));
    if (file.mode() & ~0777u)
      return InvalidArgumentError(StrCat(at, ".mode: permission bits only, at most 0777"));
    if (!paths.insert(file.path()).second)
      return InvalidArgumentError(StrCat(at, ".path: \"", absl::CHexEscape(file.path()),
                                         "\" is there twice"));
  }
  if (!workload->rootfs().empty() &&
      (workload->rootfs().front() != '/' || workload->rootfs().size() > limits.max_path_bytes() ||
       absl::StrContains(workload->rootfs(), "/..")))
    return InvalidArgumentError(StrCat(field, ".rootfs: must be an absolute path without \"..\""));
  if (!workload->device().empty() && workload->device() != "gpu")
    return InvalidArgumentError(StrCat(field, ".device: \"", absl::CHexEscape(workload->device()),
                                       "\", must be \"gpu\" or empty"));
  if (workload->stdin_text().size() > limits.max_stdin_bytes())
    return InvalidArgumentError(StrCat(field, ".stdin_text: ", workload->stdin_text().size(),
                                       " bytes, at most max_stdin_bytes = ",
                                       limits.max_stdin_bytes()));
  return FillRunLimits(limits, field + ".limits", workload->mutable_limits());
}

absl::Status CheckProfile(const v1::ServiceLimits& limits, const std::string& field,
                          const v1::ProfileTask& profile) {
  if (profile.passes().empty())
    return InvalidArgumentError(StrCat(field, ".passes: at least one, e.g. {backend: \"host\"}"));
  uint64_t total = 0;
  for (int i = 0; i < profile.passes_size(); ++i) {
    const auto& pass = profile.passes(i);
    const std::string at = StrCat(field, ".passes[", i, "]");
    RETURN_IF_ERROR(CheckName(at + ".backend", pass.backend(), limits.max_name_bytes()));
    if (static_cast<uint32_t>(pass.options_size()) > limits.max_labels())
      return InvalidArgumentError(StrCat(at, ".options: at most ", limits.max_labels()));
    const auto device = pass.options().find("device");
    if (device != pass.options().end() && device->second != "gpu" && device->second != "host")
      return InvalidArgumentError(StrCat(at, ".options[\"device\"]: \"",
                                         absl::CHexEscape(device->second),
                                         "\", must be \"gpu\" or \"host\""));
    if (pass.backend() == kAutoBackend) RETURN_IF_ERROR(CheckAuto(at, pass));
    total += std::max(1u, pass.repeat());
  }
  if (total > limits.max_passes_per_task())
    return InvalidArgumentError(StrCat(field, ".passes: ", total,
                                       " in all, at most max_passes_per_task = ",
                                       limits.max_passes_per_task()));
  return absl::OkStatus();
}

absl::Status CheckDeadline(const v1::ServiceLimits& limits, absl::string_view field, double value) {
  if (!(value >= 0) || value > limits.max_deadline_s())
    return InvalidArgumentError(StrCat(field, ": ", value, ", must be 0 (none) to max_deadline_s = ",
                                       limits.max_deadline_s()));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTask(const v1::ServiceLimits& limits, const std::string& at, v1::TaskSpec* spec) {
  RETURN_IF_ERROR(CheckName(at + ".name", spec->name(), limits.max_name_bytes()));
  if (!spec->parent().empty())
    RETURN_IF_ERROR(CheckReference(at + ".parent", spec->parent(), limits));
  for (int i = 0; i < spec->after_size(); ++i)
    RETURN_IF_ERROR(CheckReference(StrCat(at, ".after[", i, "]"), spec->after(i), limits));
  if (spec->priority() < -100 || spec->priority() > 100)
    return InvalidArgumentError(StrCat(at, ".priority: ", spec->priority(), ", must be −100 to 100"));
  RETURN_IF_ERROR(CheckDeadline(limits, at + ".deadline_s", spec->deadline_s()));
  if (spec->max_attempts() > limits.max_attempts())
    return InvalidArgumentError(StrCat(at, ".max_attempts: ", spec->max_attempts(),
                                       ", at most max_attempts = ", limits.max_attempts()));
  if (spec->max_attempts() == 0) spec->set_max_attempts(limits.max_attempts());
  if (static_cast<uint32_t>(spec->after_size() + spec->inputs_size()) > limits.max_edges_per_task())
    return InvalidArgumentError(StrCat(at, ".after and inputs: ",
                                       spec->after_size() + spec->inputs_size(),
                                       ", at most max_edges_per_task = ",
                                       limits.max_edges_per_task()));
  std::set<absl::string_view> outputs;
  for (int i = 0; i < spec->outputs_size(); ++i) {
    const std::string field = StrCat(at, ".outputs[", i, "]");
    RETURN_IF_ERROR(CheckName(field + ".name", spec->outputs(i).name(), limits.max_name_bytes()));
    RETURN_IF_ERROR(CheckPath(field + ".path", spec->outputs(i).path(), limits.max_path_bytes()));
    if (!outputs.insert(spec->outputs(i).name()).second)
      return InvalidArgumentError(StrCat(field, ".name: \"", spec->outputs(i).name(),
                                         "\" is there twice"));
  }
  for (int i = 0; i < spec->inputs_size(); ++i) {
    auto* input = spec->mutable_inputs(i);
    const std::string field = StrCat(at, ".inputs[", i, "]");
    RETURN_IF_ERROR(CheckReference(field + ".task", input->task(), limits));
    RETURN_IF_ERROR(CheckName(field + ".artifact", input->artifact(), limits.max_name_bytes()));
    if (input->path().empty()) input->set_path(input->artifact());
    RETURN_IF_ERROR(CheckPath(field + ".path", input->path(), limits.max_path_bytes()));
  }
  if (auto* workload = MutableWorkloadOf(spec); workload != nullptr) {
    RETURN_IF_ERROR(CheckWorkload(limits, StrCat(at, ".", KindOf(*spec), ".workload"), workload));
  }
  switch (spec->kind_case()) {
    case v1::TaskSpec::kProfile:
      return CheckProfile(limits, at + ".profile", spec->profile());
    case v1::TaskSpec::kAnalyze: {
      const auto& analyze = spec->analyze();
      if (!analyze.builtin().empty() &&
          std::find(std::begin(kBuiltinAnalyses), std::end(kBuiltinAnalyses), analyze.builtin()) ==
              std::end(kBuiltinAnalyses))
        return InvalidArgumentError(StrCat(at, ".analyze.builtin: \"",
                                           absl::CHexEscape(analyze.builtin().substr(0, 64)),
                                           "\" is unknown; there are ",
                                           absl::StrJoin(kBuiltinAnalyses, ", ")));
      if (!analyze.builtin().empty() && analyze.of_task().empty())
        return InvalidArgumentError(StrCat(at, ".analyze.of_task: must name a profile task"));
      return analyze.of_task().empty()
                 ? absl::OkStatus()
                 : CheckReference(at + ".analyze.of_task", analyze.of_task(), limits);
    }
    case v1::TaskSpec::KIND_NOT_SET:
      return InvalidArgumentError(StrCat(at, ": has no kind; set one of build, profile, analyze, "
                                             "verify, rewrite, group, external"));
    default:
      return absl::OkStatus();
  }
}

absl::Status CheckGraphFields(const v1::ServiceLimits& limits, const v1::JobGraph& graph) {
  RETURN_IF_ERROR(CheckText("graph.name", graph.name(), limits.max_name_bytes()));
  RETURN_IF_ERROR(CheckText("graph.salt", graph.salt(), limits.max_name_bytes()));
  if (graph.priority() < -100 || graph.priority() > 100)
    return InvalidArgumentError(StrCat("graph.priority: ", graph.priority(),
                                       ", must be −100 to 100"));
  RETURN_IF_ERROR(CheckDeadline(limits, "graph.deadline_s", graph.deadline_s()));
  if (static_cast<uint32_t>(graph.labels_size()) > limits.max_labels())
    return InvalidArgumentError(StrCat("graph.labels: ", graph.labels_size(),
                                       ", at most max_labels = ", limits.max_labels()));
  for (const auto& [name, value] : graph.labels()) {
    const std::string at =
        StrCat("graph.labels[\"", absl::CHexEscape(name.substr(0, 64)), "\"]");
    if (name.empty() || name.size() + value.size() > limits.max_label_bytes())
      return InvalidArgumentError(StrCat(at, ": a name, and at most max_label_bytes = ",
                                         limits.max_label_bytes(), " with its value"));
    RETURN_IF_ERROR(CheckText(at, name + value, limits.max_label_bytes()));
  }
  return absl::OkStatus();
}

}  // namespace sextant::job
