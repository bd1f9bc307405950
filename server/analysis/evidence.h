// What the passes of one profile task left, as analyses ask for it: the one place where passes become
// evidence about one kernel.
//
//   ASSIGN_OR_RETURN(Evidence evidence, analysis->Gather(request.subject()));
//   v1::Basis* basis = out.mutable_basis();
//   evidence.Begin(basis);
//   const PassList counts = evidence.Take({"sassmetrics"}, {.used_for = "instructions"}, basis);
//   for (const v1::PassInfo* pass : counts) {
//     ASSIGN_OR_RETURN(const Table table, evidence.Read(*pass, "sass_metrics"));
//     const TextColumn kernel(*table, "kernel");
//     …
//   }
//   if (counts.empty()) evidence.Abstain("what regions execute", "no pass …", "sassmetrics", basis);
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/pass_tables.h"
#include "server/analysis/perturbation.h"
#include "server/trace/reader.h"

namespace sextant::analysis {

using PassList = std::vector<const v1::PassInfo*>;

// A kernel of the task, and what it took.
struct KernelUse {
  std::string name;              // demangled, as in the tables
  double total_ns = 0;           // of all launches of a pass, median over passes; 0: not timed
  uint64_t launches = 0;         // of a pass, the most
  std::set<std::string> codes;   // SASS digests it was launched with, in any pass
};

// Where things are read from; tests give their own.
struct EvidenceSources {
  // NOT_FOUND: the pass has no such table, or retention removed it.
  std::function<absl::StatusOr<Table>(const v1::PassInfo&, absl::string_view table)> table;
  // Chunks in time order. NOT_FOUND: no trace, or removed.
  std::function<absl::Status(const v1::PassInfo&, const trace::ReadRequest&,
                             absl::FunctionRef<absl::Status(const chunk::Decoded&)>)>
      trace;
  // The content of another artifact (IR text), at most so many bytes. NOT_FOUND as above.
  std::function<absl::StatusOr<std::string>(const v1::Artifact&, uint64_t max_bytes)> artifact;
};

// Owns the task's passes; read tables are shared with the cache. For one thread, for one answer.
class Evidence {
 public:
  // NOT_FOUND: `subject.kernel` was not launched; names those that were. FAILED_PRECONDITION: no pass
  // ended well. A task whose passes know no kernel (host threads) has kernel() == "".
  static absl::StatusOr<Evidence> Make(EvidenceSources sources, v1::TaskInfo task,
                                       std::vector<v1::PassInfo> passes, const v1::Subject& subject);

  const v1::TaskInfo& task() const { return task_; }
  // All of the task, in any state, by ordinal.
  absl::Span<const v1::PassInfo> passes() const { return passes_; }
  // What the answer is about: the kernel asked for, else the one with most time of those whose regions were
  // recorded, else of all.
  const std::string& kernel() const { return kernel_; }
  // Most time first.
  absl::Span<const KernelUse> kernels() const { return kernels_; }
  absl::Span<const double> quantiles() const { return quantiles_; }
  absl::Span<const v1::Perturbation> certificates() const { return certificates_; }
  // The machine class that passes are taken from: the one most of them ran on.
  const std::string& machine_class() const { return machine_class_; }

  // The code of the kernel that passes are joined on: the digest most clean launches ran, without clean
  // passes most passes; "" where no pass tells.
  const std::string& code() const { return code_; }
  // Of the kernel in this pass; empty: the pass does not tell.
  std::set<std::string> CodesIn(const v1::PassInfo& pass) const;

  struct Want {
    const char* used_for = "";     // PassSet.used_for
    bool same_code = true;         // only passes that ran code(), or do not tell; false: any code
    bool times = false;            // its times are used: passes that disturb the kernel are left out
                                   // (unless the subject includes them)
    const char* table = nullptr;   // only passes that left it
    bool trace = false;            // only passes that left a trace
  };
  // The passes of these backends (in their order of preference: the first backend that has any) that may be
  // joined: ended well, of machine_class(), of one kind (backend with its options: the one with most
  // passes). Says in `basis` which were taken and which were left out, and why.
  PassList Take(const std::vector<std::string>& backends, const Want& want, v1::Basis* basis) const;
  // The same, of all kinds of the backend: counts of different options add up (`counters`).
  PassList TakeAllKinds(absl::string_view backend, const Want& want, v1::Basis* basis) const;

  absl::StatusOr<Table> Read(const v1::PassInfo& pass, absl::string_view table) const;
  static bool Has(const v1::PassInfo& pass, absl::string_view table);
  absl::Status ReadTrace(const v1::PassInfo& pass, const trace::ReadRequest& request,
                         absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) const;
  absl::StatusOr<std::string> ReadArtifact(const v1::Artifact& artifact, uint64_t max_bytes) const;
  // The text of a source file as line tables name it ("/work/kernel.py"), from the workload's bundle. NOT_FOUND: it is
  // not there, or several might be it.
  absl::StatusOr<std::string> ReadSource(absl::string_view path, uint64_t max_bytes) const;

  // Whether a launch of the pass (of its tables and tracks) is one of the kernel. Passes without
  // `launches` have launches of one kernel alone, or none that can be told apart: true.
  bool IsOfKernel(const v1::PassInfo& pass, int64_t launch) const;
  // Whether a name of a kernel (in full, or without its parameters, as traces have it) is the kernel's.
  bool IsKernel(absl::string_view name) const;

  // Durations of the kernel's launches, of clean passes (`activity:light=1`, else `activity`, else
  // others that do not replay kernels: then `basis` says so). Says in `basis` what was used.
  std::vector<double> CleanDurationsNs(v1::Basis* basis) const;
  // A row of `launches` of the kernel with this code, of the cleanest pass that has one.
  struct LaunchRow {
    const v1::PassInfo* pass = nullptr;   // null: there is none
    Table launches;
    uint64_t row = 0;
  };
  LaunchRow AnyLaunch() const;

  // Fills job, task, kernel, code, quantiles. Provenance is added by Take.
  void Begin(v1::Basis* basis) const;
  // The pass that looks where `pass` would: regions of a program of Python's are Proton's.
  std::string PassFor(absl::string_view pass) const;
  // What could not be judged; `pass` as on the command line, "" for none would. Its cost is estimated from the
  // passes that ran. Once for each question.
  void Abstain(absl::string_view question, absl::string_view why, absl::string_view pass,
               v1::Basis* basis) const;

 private:
  PassList Choose(absl::string_view backend, const Want& want, bool one_kind, bool only_if_any,
                  v1::Basis* basis) const;
  void FindKernels();
  absl::Status ChooseKernel(const v1::Subject& subject);
  // Kernels whose regions a pass recorded.
  std::set<std::string> RecordedInside() const;
  void ChooseCode();

  EvidenceSources sources_;
  v1::TaskInfo task_;
  std::vector<v1::PassInfo> passes_;
  std::vector<PassLaunches> launches_;          // borrow from passes_
  std::vector<v1::Perturbation> certificates_;
  std::vector<KernelUse> kernels_;
  std::vector<double> quantiles_;
  std::string machine_class_;
  std::string kernel_;
  std::string code_;
  bool include_disturbed_ = false;
  // By pass, of those whose launches are of several kernels.
  std::map<int64_t, absl::flat_hash_map<int64_t, bool>> launch_is_of_kernel_;
};

// What stands before the parameters of a demangled name: "gemm" of "void gemm<float>(int)".
std::string ShortKernel(absl::string_view name);

// Whether a pass ended well: it may be joined.
bool EndedWell(const v1::PassInfo& pass);

}  // namespace sextant::analysis
