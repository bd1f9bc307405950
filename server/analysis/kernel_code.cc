#include "server/analysis/kernel_code.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/opcode/opcode_class.h"
#include "proto/status/status.h"
#include "server/analysis/columns.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

constexpr size_t kDigestInName = 8;   // of SASS, in the names of IR artifacts: "gemm.1a2b3c4d.sass"

bool IsCodeOf(const v1::Artifact& artifact, const std::string& code, absl::string_view level) {
  return artifact.kind() == "ir" &&
         absl::EndsWith(artifact.name(), absl::StrCat(".", code.substr(0, kDigestInName), ".", level));
}

// Which words of `sass_digest` are the code: that one, or "" where the pass does not tell.
std::vector<bool> CodeWords(const TextColumn& digest, const std::string& code) {
  return digest.Words([&](absl::string_view word) { return code.empty() || word.empty() || word == code; });
}

// The rows of the kernel with the code.
template <typename Use>
void ForRows(const Evidence& evidence, const v1::DataTable& table, Use use) {
  const TextColumn kernel(table, "kernel"), digest(table, "sass_digest");
  if (!kernel) return;
  const auto is_kernel = kernel.Words([&](absl::string_view word) { return evidence.IsKernel(word); });
  const auto is_code = CodeWords(digest, evidence.code());
  for (uint64_t row = 0; row < table.rows(); ++row)
    if (is_kernel[kernel.Word(row)] && (!digest || is_code[digest.Word(row)])) use(row);
}

}  // namespace

double PcSamples::total() const {
  double sum = 0;
  for (const auto& [stall, samples] : by_stall) sum += samples;
  return sum;
}

absl::StatusOr<std::unique_ptr<KernelCode>> ReadKernelCode(const Evidence& evidence, absl::string_view question,
                                                           v1::Basis* basis) {
  std::string why;
  if (evidence.code().empty()) {
    why = "no pass tells which code the kernel was";
  } else {
    for (const v1::PassInfo& pass : evidence.passes()) {
      if (!EndedWell(pass)) continue;
      for (const v1::Artifact& artifact : pass.result().artifacts()) {
        if (!IsCodeOf(artifact, evidence.code(), "sass")) continue;
        auto text = evidence.ReadArtifact(artifact, kMaxSassTextBytes);
        if (absl::IsNotFound(text.status())) {
          why = absl::StrCat("the code that pass ", pass.pass_id(), " kept was removed by retention");
          continue;
        }
        RETURN_IF_ERROR(text.status(), "reading ", artifact.name(), " of pass ", pass.pass_id());
        auto function = ParseSassUntrusted(*text);
        if (!function.ok()) {
          why = absl::StrCat(artifact.name(), " of pass ", pass.pass_id(), ": ", function.status().message());
          continue;
        }
        v1::PassSet* const set = basis->add_passes();
        set->set_backend(KindOfPass(MeasuredAs(pass)));
        set->add_pass_ids(pass.pass_id());
        set->set_used_for("code");
        auto code = std::make_unique<KernelCode>();
        code->function = *std::move(function);
        code->flow = FlowOf(code->function);
        return code;
      }
    }
    for (const v1::PassInfo& pass : evidence.passes())
      if (why.empty() && EndedWell(pass) && MeasuredAs(pass).backend() == "ir")
        why = absl::StrCat("pass ", pass.pass_id(), " (ir) kept no SASS of code ",
                           evidence.code().substr(0, 12), ": the site has no nvdisasm, or the kernel was other code then");
  }
  evidence.Abstain(question, why.empty() ? "no pass kept the kernel's code" : why, "ir", basis);
  return nullptr;
}

absl::StatusOr<std::string> ReadCodeLevel(const Evidence& evidence, absl::string_view level, uint64_t max_bytes) {
  if (evidence.code().empty()) return std::string();
  for (const v1::PassInfo& pass : evidence.passes()) {
    if (!EndedWell(pass)) continue;
    for (const v1::Artifact& artifact : pass.result().artifacts()) {
      if (!IsCodeOf(artifact, evidence.code(), level)) continue;
      auto text = evidence.ReadArtifact(artifact, max_bytes);
      if (absl::IsNotFound(text.status())) continue;   // removed by retention
      return text;
    }
  }
  return std::string();
}

uint64_t LaunchesIn(const Evidence& evidence, const v1::PassInfo& pass) {
  const auto count = [&](const v1::PassInfo& of) -> uint64_t {
    const auto table = Evidence::Has(of, "launches") ? evidence.Read(of, "launches") : absl::NotFoundError("");
    if (!table.ok()) return 0;
    uint64_t launches = 0;
    ForRows(evidence, **table, [&](uint64_t) { ++launches; });
    return launches;
  };
  if (const uint64_t own = count(pass); own > 0) return own;
  std::set<uint64_t> others;
  for (const v1::PassInfo& other : evidence.passes())
    if (const uint64_t launches = EndedWell(other) ? count(other) : 0; launches > 0) others.insert(launches);
  return others.size() == 1 ? *others.begin() : 0;
}

absl::StatusOr<std::map<uint64_t, PcCount>> ReadCounts(const Evidence& evidence, absl::string_view question,
                                                       v1::Basis* basis) {
  std::map<uint64_t, PcCount> counts;
  const PassList passes =
      evidence.Take({"sassmetrics"}, {.used_for = "instructions", .table = "sass_metrics"}, basis);
  uint32_t used = 0;
  for (const v1::PassInfo* pass : passes) {
    auto read = evidence.Read(*pass, "sass_metrics");
    if (absl::IsNotFound(read.status())) continue;
    RETURN_IF_ERROR(read.status());
    const v1::DataTable& table = **read;
    const NumberColumn launch(table, "launch"), pc(table, "pc"), executed(table, "executed"), threads(table, "threads"),
        off(table, "predicated_off"), line(table, "line");
    const TextColumn opcode(table, "opcode"), of(table, "opcode_class"), file(table, "file");
    std::map<uint64_t, PcCount> here;
    std::set<int64_t> single;   // launches counted one by one
    bool together = false;
    ForRows(evidence, table, [&](uint64_t row) {
      if (!(pc[row] >= 0)) return;
      if (launch[row] >= 0) single.insert(static_cast<int64_t>(launch[row]));
      else together = true;
      PcCount& count = here[static_cast<uint64_t>(pc[row])];
      count.executed += executed.Positive(row);
      count.threads += threads.Positive(row);
      count.predicated_off += off.Positive(row);
      if (count.opcode.empty()) count.opcode = opcode[row];
      if (count.opcode_class.empty()) count.opcode_class = of[row];
      if (count.line == 0 && line[row] > 0) {
        count.line = static_cast<int64_t>(line[row]);
        count.file = file[row];
      }
    });
    if (here.empty()) continue;
    const double launches = together ? static_cast<double>(LaunchesIn(evidence, *pass)) : static_cast<double>(single.size());
    if (!(launches > 0)) {
      basis->add_notes(absl::StrCat("pass ", pass->pass_id(), " counted all launches together and does not tell how many, nor do the "
                                    "others agree: its counts are not used"));
      continue;
    }
    ++used;
    for (auto& [at, count] : here) {
      PcCount& all = counts[at];
      all.executed += count.executed / launches;
      all.threads += count.threads / launches;
      all.predicated_off += count.predicated_off / launches;
      if (all.opcode.empty()) all.opcode = std::move(count.opcode);
      if (all.opcode_class.empty()) all.opcode_class = std::move(count.opcode_class);
      if (all.line == 0) {
        all.line = count.line;
        all.file = std::move(count.file);
      }
    }
  }
  for (auto& [at, count] : counts) {
    count.executed /= used;
    count.threads /= used;
    count.predicated_off /= used;
  }
  if (counts.empty())
    evidence.Abstain(question, passes.empty() ? "no pass counted executions of this code's instructions"
                                              : "the passes that counted have no row of this code",
                     "sassmetrics", basis);
  return counts;
}

void NameByCode(const KernelCode& code, std::map<uint64_t, PcCount>* counts) {
  for (auto& [pc, count] : *counts) {
    const uint32_t at = code.function.At(pc);
    if (!count.opcode_class.empty() || at >= code.function.code.size()) continue;
    const std::string_view mnemonic = code.function.code[at].mnemonic();
    if (count.opcode.empty()) count.opcode = std::string(mnemonic);
    count.opcode_class = std::string(opcode::ClassOf(mnemonic));
  }
}

absl::StatusOr<std::map<uint64_t, PcSamples>> ReadSamples(const Evidence& evidence, absl::string_view question,
                                                          v1::Basis* basis) {
  std::map<uint64_t, PcSamples> samples;
  const PassList passes = evidence.Take({"pcsampling"}, {.used_for = "stalls", .table = "pc_samples"}, basis);
  for (const v1::PassInfo* pass : passes) {
    auto read = evidence.Read(*pass, "pc_samples");
    if (absl::IsNotFound(read.status())) continue;
    RETURN_IF_ERROR(read.status());
    const v1::DataTable& table = **read;
    const NumberColumn pc(table, "pc"), count(table, "samples"), line(table, "line");
    const TextColumn stall(table, "stall"), opcode(table, "opcode"), file(table, "file"), function(table, "function");
    ForRows(evidence, table, [&](uint64_t row) {
      if (!(pc[row] >= 0) || count.Positive(row) == 0) return;
      PcSamples& at = samples[static_cast<uint64_t>(pc[row])];
      at.by_stall[stall[row].empty() ? "unknown" : std::string(stall[row])] += count[row];
      if (at.opcode.empty()) at.opcode = opcode[row];
      if (at.function.empty()) at.function = function[row];
      if (at.line == 0 && line[row] > 0) {
        at.line = static_cast<int64_t>(line[row]);
        at.file = file[row];
      }
    });
  }
  if (samples.empty())
    evidence.Abstain(question, passes.empty() ? "no pass sampled this code" : "the sampler saw nothing of this kernel",
                     "pcsampling", basis);
  return samples;
}

std::vector<v1::NamedShare> Shares(const std::map<std::string, double>& values) {
  double sum = 0;
  for (const auto& [name, value] : values)
    if (value > 0) sum += value;
  std::vector<v1::NamedShare> shares;
  for (const auto& [name, value] : values) {
    if (!(value > 0)) continue;
    v1::NamedShare& one = shares.emplace_back();
    one.set_name(name);
    one.set_value(value);
    one.set_share(value / sum);
  }
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.value() > b.value(); });
  return shares;
}

std::string ShortPlace(absl::string_view file, int64_t line) {
  if (line <= 0) return "";
  const size_t slash = file.rfind('/');
  return absl::StrCat(slash == absl::string_view::npos ? file : file.substr(slash + 1), ":", line);
}

}  // namespace sextant::analysis
