// A job in memory, for tests of analyses: passes with tables and traces, as Evidence.
//
//   TestJob job;
//   job.Pass("activity", {{"light", "1"}}).Add(LaunchTable({{"k", 100}}));
//   job.Pass("scopes").Trace(synthetic.Chunks());
//   const Evidence evidence = job.Gather();
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "server/analysis/evidence.h"
#include "tests/catch.h"

namespace sextant::analysis {

// A row of `launches`; launches are numbered from 0 in their order.
struct TestLaunch {
  std::string kernel;
  int64_t duration_ns = 0;
  std::string code = "aa";
  int64_t registers = 32;
};

inline v1::DataTable LaunchTable(const std::vector<TestLaunch>& launches) {
  table::Builder builder("launches");
  const auto launch = builder.Int("launch");
  const auto kernel = builder.Text("kernel");
  const auto duration = builder.Int("duration_ns", "ns");
  const auto registers = builder.Int("registers");
  const auto code = builder.Text("sass_digest");
  for (const TestLaunch& one : launches) {
    builder.Set(launch, static_cast<int64_t>(builder.rows()));
    builder.Set(kernel, one.kernel);
    builder.Set(duration, one.duration_ns);
    builder.Set(registers, one.registers);
    builder.Set(code, one.code);
    builder.EndRow();
  }
  return builder.Finish();
}

class TestJob {
 public:
  // The pass that the following calls are about. Ids count from 1.
  TestJob& Pass(const std::string& backend, const std::map<std::string, std::string>& options = {}) {
    v1::PassInfo& pass = passes_.emplace_back();
    pass.set_pass_id(static_cast<int64_t>(passes_.size()));
    pass.set_ordinal(static_cast<uint32_t>(passes_.size() - 1));
    pass.set_job_id(1);
    pass.set_task_id(1);
    pass.set_task("t");
    pass.set_state(v1::DONE);
    pass.mutable_spec()->set_backend(backend);
    for (const auto& [name, value] : options) (*pass.mutable_spec()->mutable_options())[name] = value;
    pass.mutable_result()->mutable_provenance()->set_machine_class("m");
    return *this;
  }
  v1::PassInfo* operator->() { return &passes_.back(); }

  TestJob& Add(v1::DataTable table) {
    const std::string name = table.name();
    v1::Artifact* artifact = passes_.back().mutable_result()->add_artifacts();
    artifact->set_name(name + ".table");
    artifact->set_kind(table::kArtifactKind);
    artifact->set_digest(absl::StrCat(passes_.size(), "/", name));
    tables_[{passes_.back().pass_id(), name}] = std::make_shared<const v1::DataTable>(std::move(table));
    return *this;
  }
  TestJob& Trace(std::vector<chunk::Decoded> chunks) {
    passes_.back().mutable_result()->set_trace_digest(absl::StrCat("trace ", passes_.size()));
    for (const auto& one : chunks)
      passes_.back().mutable_result()->set_events(passes_.back().result().events() + one.header.events());
    traces_[passes_.back().pass_id()] = std::move(chunks);
    return *this;
  }
  TestJob& Artifact(const std::string& name, const std::string& kind, std::string bytes) {
    v1::Artifact* artifact = passes_.back().mutable_result()->add_artifacts();
    artifact->set_name(name);
    artifact->set_kind(kind);
    artifact->set_size_bytes(bytes.size());
    artifact->set_digest(absl::StrCat(passes_.size(), "/", name));
    artifacts_[artifact->digest()] = std::move(bytes);
    return *this;
  }

  // The workload's program.
  TestJob& Program(const std::string& program) {
    task_.mutable_spec()->mutable_profile()->mutable_workload()->add_argv(program);
    return *this;
  }

  // A file of the workload's bundle.
  TestJob& File(const std::string& path, std::string bytes) {
    v1::File* file = task_.mutable_spec()->mutable_profile()->mutable_workload()->add_files();
    file->set_path(path);
    file->set_size_bytes(bytes.size());
    file->set_digest("file " + path);
    artifacts_[file->digest()] = std::move(bytes);
    return *this;
  }

  // For what a test breaks on purpose.
  std::deque<v1::PassInfo>& passes() { return passes_; }
  const std::deque<v1::PassInfo>& passes() const { return passes_; }
  void EditTables(const std::function<void(int64_t pass_id, v1::DataTable*)>& edit) {
    for (auto& [key, table] : tables_) {
      auto edited = std::make_shared<v1::DataTable>(*table);
      edit(key.first, edited.get());
      table = std::move(edited);
    }
  }
  void LoseTable(int64_t pass_id, const std::string& name) { tables_.erase({pass_id, name}); }
  void LoseTrace(int64_t pass_id) { traces_.erase(pass_id); }
  void EditTrace(int64_t pass_id, const std::function<void(std::vector<chunk::Decoded>*)>& edit) {
    if (const auto found = traces_.find(pass_id); found != traces_.end()) edit(&found->second);
  }

  // Borrows this job.
  absl::StatusOr<Evidence> TryGather(const v1::Subject& subject = {}) const {
    v1::TaskInfo task = task_;
    task.set_job_id(1);
    task.set_task_id(1);
    task.set_path("t");
    task.set_kind("profile");
    EvidenceSources sources;
    sources.table = [this](const v1::PassInfo& pass, absl::string_view name) -> absl::StatusOr<Table> {
      const auto found = tables_.find({pass.pass_id(), std::string(name)});
      if (found == tables_.end()) return absl::NotFoundError("no such table");
      return found->second;
    };
    sources.trace = [this](const v1::PassInfo& pass, const trace::ReadRequest&,
                           absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) -> absl::Status {
      const auto found = traces_.find(pass.pass_id());
      if (found == traces_.end()) return absl::NotFoundError("no trace");
      for (const chunk::Decoded& one : found->second)
        if (absl::Status status = use(one); !status.ok()) return status;
      return absl::OkStatus();
    };
    sources.artifact = [this](const v1::Artifact& artifact, uint64_t) -> absl::StatusOr<std::string> {
      const auto found = artifacts_.find(artifact.digest());
      if (found == artifacts_.end()) return absl::NotFoundError("no such artifact");
      return found->second;
    };
    return Evidence::Make(std::move(sources), task, {passes_.begin(), passes_.end()}, subject);
  }
  Evidence Gather(const v1::Subject& subject = {}) const {
    auto evidence = TryGather(subject);
    INFO(evidence.status().ToString());
    REQUIRE(evidence.ok());
    return *std::move(evidence);
  }

 private:
  v1::TaskInfo task_;
  std::deque<v1::PassInfo> passes_;
  std::map<std::pair<int64_t, std::string>, Table> tables_;
  std::map<int64_t, std::vector<chunk::Decoded>> traces_;
  std::map<std::string, std::string> artifacts_;
};

}  // namespace sextant::analysis
