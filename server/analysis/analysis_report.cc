// Analysis::Report: everything that is known, once, as one document.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/analysis.h"
#include "server/analysis/report.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {

absl::StatusOr<v1::Report> Analysis::Report(const v1::GetReportRequest& request) {
  ASSIGN_OR_RETURN(const auto job, reads_->Job(request.job_id()));
  auto task = FindTask(request.job_id(), request.task());
  // Without one profile task the report is about all passes of the job.
  if (!task.ok() && !request.task().empty()) return task.status();
  const std::string path = task.ok() ? task->path() : "";
  ASSIGN_OR_RETURN(const auto passes, Passes(request.job_id(), path));
  v1::Diagnosis diagnosis;
  std::vector<Facts> facts;
  std::vector<v1::NamedShare> kernel_times;
  std::vector<v1::Perturbation> certificates;
  if (!task.ok()) {
    diagnosis.set_verdict(absl::StrCat("Nothing is judged: ", std::string(task.status().message()), "."));
  } else {
    v1::Subject subject;
    subject.set_job_id(request.job_id());
    subject.set_task(path);
    subject.set_kernel(request.kernel());
    auto kernels = KernelsWorthIt(subject);
    if (!kernels.ok()) {
      if (!absl::IsFailedPrecondition(kernels.status())) return kernels.status();
      diagnosis.set_verdict(absl::StrCat("Nothing is judged: ", std::string(kernels.status().message()), "."));
    } else {
      v1::Basis basis;
      kernels->front().Begin(&basis);
      for (const Evidence& evidence : *kernels) {
        ASSIGN_OR_RETURN(Facts one, FactsAbout(evidence, subject, &basis));
        facts.push_back(std::move(one));
      }
      diagnosis = DiagnoseWith(*kernels, facts, 0, std::move(basis));
      const Evidence& first = kernels->front();
      certificates.assign(first.certificates().begin(), first.certificates().end());
      double total = 0;
      for (const KernelUse& use : first.kernels()) total += use.total_ns;
      for (const KernelUse& use : first.kernels()) {
        v1::NamedShare& one = kernel_times.emplace_back();
        one.set_name(use.name);
        one.set_value(use.total_ns);
        one.set_share(total > 0 ? use.total_ns / total : 0);
      }
    }
  }
  std::vector<const v1::PassInfo*> ended;
  for (const v1::PassInfo& pass : passes)
    if (pass.has_result()) ended.push_back(&pass);
  return MakeReport({job, passes, facts, diagnosis, certificates, DistinctProvenance(ended), std::move(kernel_times)}, path,
                    request.format(), {request.sections().begin(), request.sections().end()});
}

}  // namespace sextant::analysis
