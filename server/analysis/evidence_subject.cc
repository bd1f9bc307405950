// Which kernel, and which of its codes, an answer is about: of Evidence (evidence.h).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/columns.h"
#include "server/analysis/evidence.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/quantile.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

// Tables that name kernels, where a pass left no `launches`.
constexpr const char* kKernelTables[] = {"sass_metrics", "pc_samples", "counters", "instructions", "kernels"};
// Tables that tell which code a kernel was.
constexpr const char* kCodeTables[] = {"sass_metrics", "pc_samples", "kernels"};

double Median(std::vector<double> values) { return Quantiles(&values, {{0.5}})[0]; }

std::string Some(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  const size_t shown = std::min(names.size(), kShown);
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + shown, ", "),
                      names.size() > shown ? absl::StrCat(" and ", names.size() - shown, " more") : "");
}

// By word of the column `kernel`, what the rows of a table say of each kernel.
template <typename Use>
void ForKernels(const v1::DataTable& table, Use use) {
  const TextColumn kernel(table, "kernel");
  if (!kernel) return;
  for (uint64_t row = 0; row < table.rows(); ++row) use(row, kernel.Word(row), kernel[row]);
}

}  // namespace

void Evidence::FindKernels() {
  int best = -1;
  for (const PassLaunches& one : launches_)
    if (EndedWell(*one.pass)) best = std::max(best, TimeRank(*one.pass));
  struct Seen {
    std::vector<double> total_ns;   // [passes]
    uint64_t launches = 0;
    std::set<std::string> codes;
  };
  std::map<std::string, Seen, std::less<>> seen;
  for (const PassLaunches& one : launches_) {
    const v1::DataTable& table = *one.launches;
    const NumberColumn duration(table, "duration_ns");
    const TextColumn code(table, "sass_digest");
    struct Here {
      std::string name;
      double total_ns = 0;
      uint64_t launches = 0;
      std::set<std::string_view> codes;
    };
    std::map<uint32_t, Here> here;
    ForKernels(table, [&](uint64_t row, uint32_t word, std::string_view name) {
      Here& kernel = here[word];
      if (kernel.launches++ == 0) kernel.name = name;
      kernel.total_ns += duration.Positive(row);
      if (!code[row].empty()) kernel.codes.insert(code[row]);
    });
    for (auto& [word, kernel] : here) {
      Seen& all = seen[kernel.name];
      if (EndedWell(*one.pass) && TimeRank(*one.pass) == best && kernel.total_ns > 0)
        all.total_ns.push_back(kernel.total_ns);
      all.launches = std::max(all.launches, kernel.launches);
      all.codes.insert(kernel.codes.begin(), kernel.codes.end());
    }
  }
  if (seen.empty()) {
    for (const v1::PassInfo& pass : passes_)
      for (const char* const name : kKernelTables) {
        if (!EndedWell(pass) || !Has(pass, name)) continue;
        if (const auto table = sources_.table(pass, name); table.ok())
          if (const v1::DataColumn* kernel = table::Find(**table, "kernel"); kernel != nullptr)
            for (const std::string& word : kernel->dictionary())
              if (!word.empty()) seen[word];
      }
  }
  for (auto& [name, all] : seen)
    kernels_.push_back({name, all.total_ns.empty() ? 0 : Median(std::move(all.total_ns)), all.launches,
                        std::move(all.codes)});
  std::stable_sort(kernels_.begin(), kernels_.end(),
                   [](const auto& a, const auto& b) { return a.total_ns > b.total_ns; });
}

std::set<std::string> Evidence::RecordedInside() const {
  std::set<std::string> inside;
  for (const PassLaunches& one : launches_) {
    const std::string& backend = MeasuredAs(*one.pass).backend();
    if ((backend != "scopes" && backend != "proton") || one.pass->result().trace_digest().empty()) continue;
    const TextColumn kernel(*one.launches, "kernel");
    const NumberColumn number(*one.launches, "launch");
    absl::flat_hash_map<int64_t, std::string> names;
    if (kernel && number)
      for (uint64_t row = 0; row < one.launches->rows(); ++row)
        names[static_cast<int64_t>(number[row])] = std::string(kernel[row]);
    // The first chunk is enough: a program's kernels are recorded by turns or not at all.
    sources_.trace(*one.pass, {}, [&](const chunk::Decoded& chunk) {
      for (const chunk::TrackSlice& track : chunk.tracks)
        if (const auto name = names.find(track.track.launch); track.count > 0 && name != names.end())
          inside.insert(name->second);
      return absl::CancelledError();
    }).IgnoreError();
    if (!inside.empty()) break;
  }
  return inside;
}

absl::Status Evidence::ChooseKernel(const v1::Subject& subject) {
  if (subject.kernel().empty()) {
    if (!kernels_.empty()) kernel_ = kernels_.front().name;
    if (kernels_.size() > 1) {
      const std::set<std::string> inside = RecordedInside();
      for (const KernelUse& kernel : kernels_)
        if (inside.contains(kernel.name)) {
          kernel_ = kernel.name;
          break;
        }
    }
  } else {
    std::vector<std::string> names, alike;
    for (const KernelUse& kernel : kernels_) {
      if (kernel.name == subject.kernel()) kernel_ = kernel.name;
      if (ShortKernel(kernel.name) == subject.kernel()) alike.push_back(kernel.name);
      names.push_back(kernel.name);
    }
    if (kernel_.empty() && alike.size() == 1) kernel_ = alike.front();
    if (kernel_.empty() && alike.size() > 1)
      return absl::InvalidArgumentError(absl::StrCat("kernel: ", alike.size(), " kernels are called \"",
                                                     subject.kernel(), "\"; name one in full: ", Some(alike)));
    if (kernel_.empty())
      return absl::NotFoundError(absl::StrCat(
          "kernel: task ", task_.path(), " launched no kernel \"", subject.kernel(), "\"; ",
          names.empty() ? "its passes tell of none" : absl::StrCat("it launched ", Some(names))));
  }
  for (const PassLaunches& one : launches_) {
    const TextColumn kernel(*one.launches, "kernel");
    const NumberColumn launch(*one.launches, "launch");
    if (!kernel || !launch) continue;
    const std::vector<bool> is = kernel.Words([&](absl::string_view word) { return word == kernel_; });
    if (is.size() < 2) continue;
    auto& of = launch_is_of_kernel_[one.pass->pass_id()];
    for (uint64_t row = 0; row < one.launches->rows(); ++row)
      of[static_cast<int64_t>(launch[row])] = is[kernel.Word(row)];
  }
  return absl::OkStatus();
}

std::set<std::string> Evidence::CodesIn(const v1::PassInfo& pass) const {
  std::set<std::string> codes;
  const auto look = [&](const v1::DataTable& table) {
    const TextColumn kernel(table, "kernel"), code(table, "sass_digest");
    if (!kernel || !code) return;
    const std::vector<bool> is = kernel.Words([&](absl::string_view word) { return word == kernel_; });
    for (uint64_t row = 0; row < table.rows(); ++row)
      if (is[kernel.Word(row)] && !code[row].empty()) codes.emplace(code[row]);
  };
  for (const PassLaunches& one : launches_)
    if (one.pass->pass_id() == pass.pass_id()) look(*one.launches);
  for (const char* const name : kCodeTables) {
    if (!codes.empty()) break;
    if (!Has(pass, name)) continue;
    if (const auto table = sources_.table(pass, name); table.ok()) look(**table);
  }
  return codes;
}

void Evidence::ChooseCode() {
  // By rank of the pass, then by how many passes ran it.
  std::map<std::string, std::pair<int, int>> votes;
  for (const v1::PassInfo& pass : passes_) {
    if (!EndedWell(pass) || pass.result().provenance().machine_class() != machine_class_) continue;
    for (const std::string& code : CodesIn(pass)) {
      auto& [rank, count] = votes[code];
      const int here = TimeRank(pass) >= 2 ? 1 : 0;
      if (here > rank) count = 0;
      if (here >= rank) ++count;
      rank = std::max(rank, here);
    }
  }
  std::pair<int, int> best = {-1, 0};
  for (const auto& [code, vote] : votes)
    if (vote > best) {
      best = vote;
      code_ = code;
    }
}

}  // namespace sextant::analysis
