#include "workers/backends/sassmetrics/importer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/opcode/opcode_class.h"
#include "proto/table/table.h"
#include "workers/backends/profiling/opcode.h"

namespace sextant::backends::sassmetrics {
namespace {

constexpr uint32_t kRange = inject::kSassMetricsFrames;
constexpr size_t kMaxRows = 2'000'000;
constexpr size_t kMaxCounters = 16 * 1024;
constexpr uint64_t kMaxCount = uint64_t{1} << 60;  // sums must not overflow

}  // namespace

Importer::Importer(const std::string& kernels)
    : common_(kRange), names_(kernels) {}

void Importer::Take(const injected::Process& from, uint32_t process, uint32_t type,
                    std::string_view payload) {
  if (common_.Take(from, process, type, payload)) return;
  if (type == kRange + inject::kLaunchFrame) {
    TakeInstructions(from, process, payload);
  }
}

void Importer::TakeInstructions(const injected::Process& from, uint32_t process,
                                std::string_view payload) {
  const std::map<uint32_t, profiling::Metric>& metrics = common_.MetricsOf(process);
  injected::ForRecords<inject::InstructionRecord>(
      payload, [&](const inject::InstructionRecord& record) {
        const auto metric = metrics.find(record.metric);
        if (metric == metrics.end() || record.value > kMaxCount || record.launch < -1) return;
        const std::string& mangled = from.Text(record.kernel);
        if (!names_.Matches(mangled)) return;
        const std::pair<int64_t, profiling::CodeKey> key(
            record.launch,
            profiling::CodeKey(process, record.cubin_crc, mangled, record.pc));
        if (counts_.size() >= kMaxRows && !counts_.contains(key)) {
          ++over_limit_;
          return;
        }
        Counts& counts = counts_[key];
        uint64_t& value = metric->second.name == "smsp__sass_inst_executed" ? counts.executed
                          : metric->second.name == "smsp__sass_thread_inst_executed"
                              ? counts.threads
                              : counts.predicated_on;
        value = std::min(value + record.value, kMaxCount);
      });
}

bool Importer::Finish(Collected* collected) {
  if (counts_.empty()) return false;
  table::Builder rows("sass_metrics");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto launch = rows.Int("launch");
  const auto pc = rows.Int("pc", "bytes");
  const auto opcode = rows.Text("opcode");
  const auto opcode_class = rows.Text("opcode_class");
  const auto executed = rows.Int("executed");
  const auto threads = rows.Int("threads");
  const auto predicated_off = rows.Int("predicated_off");
  const auto file = rows.Text("file");
  const auto line = rows.Int("line");
  std::map<std::string, Mix> mixes;
  uint64_t unnamed = 0;
  for (const auto& [key, counts] : counts_) {
    const std::string& name = names_.Demangled(std::get<2>(key.second));
    const profiling::Code* const code = common_.Find(key.second);
    const std::string_view op = code != nullptr ? code->opcode : "";
    const std::string_view of = opcode::ClassOf(op);
    rows.Set(kernel, name);
    rows.Set(launch, key.first);
    rows.Set(pc, static_cast<int64_t>(std::get<3>(key.second)));
    rows.Set(opcode, op);
    rows.Set(opcode_class, of);
    rows.Set(executed, static_cast<int64_t>(counts.executed));
    rows.Set(threads, static_cast<int64_t>(counts.threads));
    rows.Set(predicated_off, static_cast<int64_t>(
                                 counts.threads - std::min(counts.threads, counts.predicated_on)));
    if (code != nullptr) {
      rows.Set(digest, code->sass_digest);
      rows.Set(file, code->file);
      rows.Set(line, code->line);
    }
    rows.EndRow();
    ++collected->events;
    if (op.empty()) ++unnamed;
    Mix& mix = mixes[name];
    mix.counts.executed += counts.executed;
    mix.counts.threads += counts.threads;
    mix.counts.predicated_on += std::min(counts.threads, counts.predicated_on);
    mix.executed_by_class[of.empty() ? "unknown" : std::string(of)] += counts.executed;
  }
  for (const auto& [name, mix] : mixes) {
    const auto add = [&](std::string counter_name, const char* unit, double value) {
      if (collected->counters.size() >= kMaxCounters) return;
      v1::Counter counter;
      counter.set_name(std::move(counter_name));
      counter.set_unit(unit);
      counter.set_kernel(name);
      counter.set_value(value);
      collected->counters.push_back(std::move(counter));
    };
    const auto share = [](uint64_t part, uint64_t whole) {
      return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
    };
    add("instructions", "instructions", static_cast<double>(mix.counts.executed));
    add("thread_instructions", "instructions", static_cast<double>(mix.counts.threads));
    add("predicated_off", "%",
        share(mix.counts.threads - mix.counts.predicated_on, mix.counts.threads));
    for (const auto& [of, count] : mix.executed_by_class) {
      if (count > 0) add(absl::StrCat("mix_", of), "%", share(count, mix.counts.executed));
    }
  }
  collected->notes.push_back(
      "kernels were patched to count: counts are exact, times of this pass are not the program's");
  if (unnamed > 0) {
    collected->notes.push_back(
        absl::StrCat(unnamed, " instructions have no known opcode; join the pass `ir` by "
                              "sass_digest and pc"));
  }
  if (over_limit_ > 0) {
    collected->notes.push_back(absl::StrCat(over_limit_, " counts above the limit were left out"));
    collected->dropped = over_limit_;
  }
  if (!common_.ProblemStatus().ok()) {
    collected->notes.push_back(
        absl::StrCat("counting ended early: ", common_.ProblemStatus().message()));
  }
  collected->tables.push_back(rows.Finish());
  return true;
}

}  // namespace sextant::backends::sassmetrics
