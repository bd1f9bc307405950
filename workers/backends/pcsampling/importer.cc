#include "workers/backends/pcsampling/importer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"

namespace sextant::backends::pcsampling {
namespace {

constexpr uint32_t kRange = inject::kPcSamplingFrames;
constexpr size_t kMaxRows = 2'000'000;
constexpr size_t kMaxCounters = 16 * 1024;
constexpr std::string_view kStallPrefix = "smsp__pcsamp_warps_issue_stalled_";
constexpr std::string_view kNotIssued = "_not_issued";

}  // namespace

Importer::Importer(const std::string& kernels)
    : common_(kRange), names_(kernels) {}

void Importer::Take(const injected::Process& from, uint32_t process, uint32_t type,
                    std::string_view payload) {
  if (common_.Take(from, process, type, payload)) return;
  if (type == kRange + inject::kLaunchFrame) TakePc(from, process, payload);
  if (type == kRange + inject::kTotalFrame &&
      payload.size() >= sizeof(inject::PcTotals)) {
    std::memcpy(&totals_[process], payload.data(), sizeof(inject::PcTotals));
  }
}

void Importer::TakePc(const injected::Process& from, uint32_t process, std::string_view payload) {
  inject::PcRecord record;
  if (payload.size() < sizeof(record)) {
    ++malformed_;
    return;
  }
  std::memcpy(&record, payload.data(), sizeof(record));
  payload.remove_prefix(sizeof(record));
  if (record.stalls != payload.size() / sizeof(inject::StallCount)) {
    ++malformed_;
    return;
  }
  const std::string& mangled = from.Text(record.kernel);
  const bool matches = names_.Matches(mangled);
  const profiling::CodeKey key(process, record.cubin_crc, mangled, record.pc);
  const std::map<uint32_t, profiling::Metric>& reasons = common_.MetricsOf(process);
  injected::ForRecords<inject::StallCount>(payload, [&](const inject::StallCount& count) {
    const auto reason = reasons.find(count.stall);
    if (reason == reasons.end()) return;
    std::string_view stall = reason->second.name;
    // Beside the reasons CUPTI counts all samples and those it lost.
    if (!stall.starts_with(kStallPrefix)) return;
    stall.remove_prefix(kStallPrefix.size());
    const bool not_issued = stall.ends_with(kNotIssued);
    if (not_issued) stall.remove_suffix(kNotIssued.size());
    if (!matches) {
      if (!not_issued) unmatched_ += count.samples;
      return;
    }
    if (samples_.size() >= kMaxRows) {
      ++over_limit_;
      return;
    }
    Samples& samples = samples_[{key, std::string(stall)}];
    (not_issued ? samples.not_issued : samples.samples) += count.samples;
  });
}

void Importer::AddNotes(Collected* collected) const {
  std::vector<std::string>& notes = collected->notes;
  if (!common_.plans().empty()) {
    const inject::PlanRecord& plan = common_.plans().front().record;
    notes.push_back(absl::StrCat(
        plan.serialized != 0 ? "kernels ran one after another" : "kernels overlapped as they would",
        plan.period_cycles != 0
            ? absl::StrCat("; each SM was sampled every ", plan.period_cycles, " cycles")
            : "",
        "; setting up took ", profiling::TimeText(plan.setup_ns)));
  }
  uint64_t samples = 0, dropped = 0, left_out = 0, foreign = 0;
  bool full = false;
  for (const auto& [process, totals] : totals_) {
    samples += totals.samples;
    dropped += totals.dropped;
    left_out += totals.left_out;
    foreign += totals.foreign;
    full |= totals.buffer_full != 0;
  }
  if (dropped > 0) {
    notes.push_back(absl::StrCat("the hardware dropped ", dropped, " of ", samples,
                                 " samples; a larger period loses fewer"));
  }
  if (full) {
    notes.push_back("the hardware's buffer of samples was full at times: samples are missing; use a "
                    "larger period");
  }
  if (left_out > 0) {
    notes.push_back(absl::StrCat(left_out, " instructions did not fit into the buffer that is read "
                                           "at the end"));
  }
  if (foreign > 0) {
    notes.push_back(absl::StrCat(foreign, " samples are of kernels that are not the program's own "
                                          "(copies, memsets)"));
  }
  if (malformed_ > 0) {
    notes.push_back(absl::StrCat(malformed_, " records were not what the instrument writes"));
  }
  if (over_limit_ > 0) notes.push_back("instructions above the limit were left out");
  if (!common_.ProblemStatus().ok()) {
    notes.push_back(absl::StrCat("sampling ended early: ", common_.ProblemStatus().message()));
  }
  collected->dropped = dropped + left_out + over_limit_;
}

bool Importer::Finish(Collected* collected) {
  if (samples_.empty()) return false;
  AddNotes(collected);
  table::Builder rows("pc_samples");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto pc = rows.Int("pc", "bytes");
  const auto opcode = rows.Text("opcode");
  const auto stall = rows.Text("stall");
  const auto samples = rows.Int("samples");
  const auto issued = rows.Int("issued");
  const auto file = rows.Text("file");
  const auto line = rows.Int("line");
  const auto function = rows.Text("function");
  std::map<std::string, std::map<std::string, uint64_t>> shares;  // kernel → reason → samples
  bool lines = false;
  for (const auto& [key, count] : samples_) {
    const auto& [code_key, reason] = key;
    if (count.samples == 0) continue;
    const std::string& name = names_.Demangled(std::get<2>(code_key));
    rows.Set(kernel, name);
    rows.Set(function, name);
    rows.Set(pc, static_cast<int64_t>(std::get<3>(code_key)));
    rows.Set(stall, reason);
    rows.Set(samples, static_cast<int64_t>(count.samples));
    rows.Set(issued, static_cast<int64_t>(count.samples -
                                          std::min(count.samples, count.not_issued)));
    if (const profiling::Code* const code = common_.Find(code_key); code != nullptr) {
      rows.Set(digest, code->sass_digest);
      rows.Set(opcode, code->opcode);
      rows.Set(file, code->file);
      rows.Set(line, code->line);
      lines |= code->line != 0;
    }
    rows.EndRow();
    collected->events += count.samples;
    shares[name][reason] += count.samples;
  }
  for (const auto& [name, reasons] : shares) {
    uint64_t total = 0;
    for (const auto& [reason, count] : reasons) total += count;
    const auto add = [&](std::string counter_name, const char* unit, double value) {
      if (collected->counters.size() >= kMaxCounters) return;
      v1::Counter counter;
      counter.set_name(std::move(counter_name));
      counter.set_unit(unit);
      counter.set_kernel(name);
      counter.set_value(value);
      counter.set_instances(total);
      collected->counters.push_back(std::move(counter));
    };
    add("pc_samples", "samples", static_cast<double>(total));
    for (const auto& [reason, count] : reasons) {
      add(absl::StrCat("stall_", reason), "%",
          100.0 * static_cast<double>(count) / static_cast<double>(total));
    }
  }
  if (!lines) {
    collected->notes.push_back(
        "no kernel has line information; compile with -lineinfo to see source lines");
  }
  collected->tables.push_back(rows.Finish());
  return true;
}

}  // namespace sextant::backends::pcsampling
