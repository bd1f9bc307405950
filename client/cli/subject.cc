#include "client/cli/subject.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr int kShownPasses = 8;

std::string PassIds(const v1::PassSet& set) {
  std::vector<std::string> ids;
  for (int i = 0; i < std::min(set.pass_ids_size(), kShownPasses); ++i)
    ids.push_back(absl::StrCat("p", set.pass_ids(i)));
  return absl::StrCat(absl::StrJoin(ids, " "), set.pass_ids_size() > kShownPasses ? " …" : "");
}

}  // namespace

absl::StatusOr<v1::Subject> ToSubject(const SubjectOptions& options) {
  v1::Subject subject;
  subject.set_job_id(options.job_id);
  subject.set_task(options.task);
  subject.set_kernel(options.kernel);
  subject.set_include_disturbed(options.include_disturbed);
  const auto quantiles = ParseQuantiles(options.quantiles);
  if (!quantiles.ok())
    return absl::InvalidArgumentError(absl::StrCat("--quantiles: ", quantiles.status().message()));
  for (const double q : *quantiles) subject.add_quantiles(q);
  return subject;
}

std::string BasisHead(const v1::Basis& basis) {
  return absl::StrCat(
      basis.kernel().empty() ? "" : absl::StrCat(Escape(basis.kernel(), 100), " · "), "job ",
      basis.job_id(), " ", Escape(basis.task(), 60),
      basis.sass_digest().empty() ? "" : absl::StrCat(" · SASS ", Escape(basis.sass_digest(), 13)));
}

void PrintAbstention(Context& context, const v1::Abstention& abstention) {
  context.out << "not judged: " << Escape(abstention.question()) << ": " << Escape(abstention.why());
  if (!abstention.pass().empty()) {
    context.out << "; --pass " << Escape(abstention.pass(), 200) << " would settle it";
    if (abstention.cost_s() > 0) context.out << absl::StrFormat(", about %.2g s", abstention.cost_s());
  }
  context.out << "\n";
}

void PrintBasis(Context& context, const v1::Basis& basis) {
  for (const v1::PassSet& set : basis.passes()) {
    if (set.left_out().empty())
      context.out << Escape(set.used_for(), 80) << ": " << Escape(set.backend(), 100) << ", "
                  << PassIds(set) << "\n";
    else
      context.out << "left out: " << Escape(set.backend(), 100) << ", " << PassIds(set) << ": "
                  << Escape(set.left_out(), 300) << "\n";
  }
  for (const std::string& note : basis.notes()) context.out << "note: " << Escape(note) << "\n";
  for (const v1::Abstention& one : basis.abstentions()) PrintAbstention(context, one);
}

}  // namespace sextant::cli
