// `sextant diagnosis`: what bounds the kernels, what to try, and what could not be judged.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace sextant::cli {

int DiagnosisCommand(Context& context, const DiagnosisOptions& options) {
  v1::GetDiagnosisRequest request;
  auto subject = ToSubject(options.subject);
  if (!subject.ok()) return context.Usage(subject.status().message());
  *request.mutable_subject() = *std::move(subject);
  request.set_top(options.top);
  const auto diagnosis = context.service().GetDiagnosis(request);
  if (!diagnosis.ok()) return context.Fail(diagnosis.status());
  if (context.json) {
    context.PrintJson(*diagnosis);
    return kOk;
  }
  context.out << context.Bold(BasisHead(diagnosis->basis())) << "\n" << Escape(diagnosis->verdict()) << "\n";
  int number = 0;
  for (const v1::Finding& finding : diagnosis->findings()) {
    context.out << "\n" << ++number << ". " << context.Bold(Escape(finding.claim())) << "\n   ";
    if (!std::isnan(finding.saves_share()))
      context.out << absl::StrFormat("saves at most %.1f %% · ", 100 * finding.saves_share());
    context.out << "confidence " << Escape(finding.confidence(), 20) << " · rule " << Escape(finding.rule(), 40);
    if (!finding.kernel().empty()) context.out << " · " << Escape(finding.kernel(), 80);
    context.out << "\n";
    for (const std::string& evidence : finding.evidence()) context.out << "   - " << Escape(evidence, 400) << "\n";
    for (const std::string& what : finding.try_this()) context.out << "   → " << Escape(what, 400) << "\n";
  }
  if (diagnosis->findings().empty()) context.out << "\nno rule found anything\n";
  if (!diagnosis->abstentions().empty()) context.out << "\n";
  for (const v1::Abstention& one : diagnosis->abstentions()) PrintAbstention(context, one);
  context.out << "\n";
  PrintBasis(context, diagnosis->basis());
  context.out << std::flush;
  return kOk;
}

}  // namespace sextant::cli
