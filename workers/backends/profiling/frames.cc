#include "workers/backends/profiling/frames.h"

#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "workers/backends/profiling/opcode.h"

namespace sextant::backends::profiling {
namespace {

constexpr size_t kMaxSentenceBytes = 2048;

// What the user gets when an instrument could not do what was asked.
absl::Status StatusOf(const inject::ProblemRecord& record, std::string_view sentence) {
  std::string text;
  for (const char c : sentence.substr(0, kMaxSentenceBytes)) {
    text.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  switch (record.problem) {
    case inject::kUnknownMetric:
    case inject::kTooManyPasses:
      return absl::InvalidArgumentError(text);
    case inject::kNoPermission:
      return absl::PermissionDeniedError(text);
    case inject::kNotSupported:
      return absl::FailedPreconditionError(text);
    default:
      return absl::UnavailableError(text);
  }
}

template <typename Record>
bool Get(std::string_view payload, Record* record) {
  if (payload.size() < sizeof(Record)) return false;
  std::memcpy(record, payload.data(), sizeof(Record));
  return true;
}

}  // namespace

bool CommonFrames::Take(const injected::Process& from, uint32_t process, uint32_t type,
                        std::string_view payload) {
  if (type == range_ + inject::kProblemFrame) {
    inject::ProblemRecord record;
    if (Get(payload, &record) && problem_.ok()) {
      problem_ = StatusOf(record, payload.substr(sizeof(record)));
    }
    return true;
  }
  if (type == range_ + inject::kMetricFrame) {
    inject::MetricRecord record;
    std::map<uint32_t, Metric>& metrics = metrics_[process];
    if (Get(payload, &record) && metrics.size() < kMaxMetrics) {
      metrics[record.index] = {from.Text(record.name), from.Text(record.unit)};
    }
    return true;
  }
  if (type == range_ + inject::kPlanFrame) {
    Plan plan;
    if (Get(payload, &plan.record) && plans_.size() < kMaxMetrics) {
      plan.chip = from.Text(plan.record.chip);
      plans_.push_back(std::move(plan));
    }
    return true;
  }
  if (type == range_ + inject::kCodeFrame) {
    TakeCode(from, process, payload);
    return true;
  }
  return false;
}

void CommonFrames::TakeCode(const injected::Process& from, uint32_t process,
                            std::string_view payload) {
  injected::ForRecords<inject::CodeRecord>(payload, [&](const inject::CodeRecord& record) {
    if (code_.size() >= kMaxCode) return;
    Code code;
    const std::string_view digest(reinterpret_cast<const char*>(record.sass_digest),
                                  sizeof(record.sass_digest));
    if (digest.find_first_not_of('\0') != std::string_view::npos) {
      code.sass_digest = absl::BytesToHexString(std::string(digest));
    }
    if (record.bytes == kInstructionBytes) {
      code.opcode = OpcodeOf(record.instruction, record.architecture);
    }
    if (record.line != 0) {
      const std::string& directory = from.Text(record.directory);
      const std::string& file = from.Text(record.file);
      const bool whole = directory.empty() || (!file.empty() && file[0] == '/');
      code.file = whole ? file : absl::StrCat(directory, "/", file);
      code.line = record.line;
    }
    code_.insert_or_assign(
        CodeKey(process, record.cubin_crc, from.Text(record.kernel), record.pc), std::move(code));
  });
}

const std::map<uint32_t, Metric>& CommonFrames::MetricsOf(uint32_t process) const {
  static const auto* const none = new std::map<uint32_t, Metric>();
  const auto found = metrics_.find(process);
  return found != metrics_.end() ? found->second : *none;
}

const Code* CommonFrames::Find(const CodeKey& key) const {
  const auto found = code_.find(key);
  return found != code_.end() ? &found->second : nullptr;
}

absl::StatusOr<ReadFiles> ReadAll(const RunRecord& run, const std::string& instrument,
                                  const IndexedSink& take) {
  ReadFiles read;
  bool truncated = false;
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   injected::ListFiles(run.results_dir, instrument, &truncated));
  uint32_t index = 0;
  for (const std::string& file : files) {
    absl::StatusOr<injected::Process> process = injected::ReadFile(
        run.results_dir / file,
        [&](const injected::Process& from, uint32_t type, std::string_view payload) {
          take(from, index, type, payload);
        });
    ++index;
    if (!process.ok()) {
      read.notes.push_back(
          absl::StrCat("results file ", file, " was left out: ", process.status().message()));
      continue;
    }
    process->texts.clear();
    process->modules.clear();
    process->functions.clear();
    read.processes.push_back(*std::move(process));
  }
  if (truncated) read.notes.push_back("there were too many processes; not all were read");
  return read;
}

KernelNames::KernelNames(const std::string& kernels) : filter_(new inject::Kernels()) {
  std::string why;  // it was checked before the program ran
  filter_->SetFilter(kernels, &why);
}

const KernelNames::Known& KernelNames::Find(const std::string& mangled) {
  const auto found = known_.find(mangled);
  if (found != known_.end()) return found->second;
  Known known;
  known.demangled = inject::Demangle(mangled.c_str());
  known.matches = filter_->Matches(known.demangled);
  return known_.emplace(mangled, std::move(known)).first->second;
}

const std::string& KernelNames::Demangled(const std::string& mangled) {
  return Find(mangled).demangled;
}

bool KernelNames::Matches(const std::string& mangled) { return Find(mangled).matches; }

std::string TimeText(uint64_t ns) {
  const double time = static_cast<double>(ns);
  if (ns >= 1'000'000'000) return absl::StrFormat("%.3g s", time / 1e9);
  if (ns >= 1'000'000) return absl::StrFormat("%.3g ms", time / 1e6);
  return absl::StrFormat("%.3g µs", time / 1e3);
}

}  // namespace sextant::backends::profiling
