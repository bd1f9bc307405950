#include "workers/backends/host/importer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/include/sextant/detail/format.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::backends::host {
namespace {

constexpr uint64_t kTickMask = (uint64_t{1} << SEXTANT_TICK_BITS) - 1;
constexpr uint64_t kLeastBaselineNs = 1'000'000;  // 50 ns of reading error make 50 ppm
constexpr double kRateTolerance = 0.01;

// Copies the header of a file whose kind and version are right.
template <typename Header>
absl::Status ReadHeader(absl::Span<const uint8_t> file, const char* kind, const char* magic,
                        Header* header) {
  if (file.size() < SEXTANT_HEADER_BYTES) {
    return absl::InvalidArgumentError(
        absl::StrCat(kind, " file: ", file.size(), " bytes are less than its header"));
  }
  std::memcpy(header, file.data(), sizeof(*header));
  if (std::memcmp(header->magic, magic, sizeof(header->magic)) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(kind, " file: magic is not its kind's"));
  }
  if (header->version != SEXTANT_FORMAT_VERSION) {
    return absl::InvalidArgumentError(absl::StrCat(kind, " file: version ", header->version,
                                                   ", this worker reads ", SEXTANT_FORMAT_VERSION));
  }
  return absl::OkStatus();
}

// The names of a process file, from id 1; stops where the table does not hold what it claims.
std::vector<std::string> ReadNames(absl::Span<const uint8_t> table, uint32_t count) {
  std::vector<std::string> names = {""};
  size_t at = 0;
  while (names.size() <= count && names.size() < SEXTANT_MAX_NAMES) {
    uint16_t length;
    if (table.size() - at < sizeof(length)) break;
    std::memcpy(&length, table.data() + at, sizeof(length));
    at += sizeof(length);
    if (length > SEXTANT_MAX_NAME_BYTES || table.size() - at < length) break;
    names.push_back(
        chunk::CleanName(std::string_view(reinterpret_cast<const char*>(table.data()) + at, length),
                         SEXTANT_MAX_NAME_BYTES));
    at += length;
  }
  return names;
}

template <size_t N>
std::string FixedText(const char (&text)[N]) {
  return chunk::CleanName(std::string_view(text, strnlen(text, N)), N);
}

}  // namespace

HostImporter::HostImporter(uint64_t began_ns, std::vector<ClockReference> references,
                           ImportLimits limits)
    : began_ns_(began_ns), references_(std::move(references)), limits_(limits) {
  out_.trace.unit = v1::NANOSECONDS;
  out_.trace.ns_per_unit = 1;
}

void HostImporter::Note(std::string sentence) {
  if (out_.notes.size() < limits_.max_notes) out_.notes.push_back(std::move(sentence));
}

absl::Status HostImporter::AddProcess(absl::Span<const uint8_t> file) {
  sextant_process_file header;
  RETURN_IF_ERROR(ReadHeader(file, "process", SEXTANT_PROCESS_MAGIC, &header));
  if (processes_.size() >= limits_.max_processes) {
    return absl::InvalidArgumentError(
        absl::StrCat("process file: more than ", limits_.max_processes, " processes recorded"));
  }
  const auto key = std::make_pair(header.pid, header.file_index);
  if (process_index_.contains(key)) {
    return absl::InvalidArgumentError(
        absl::StrCat("process file: pid ", header.pid, " has two with index ", header.file_index));
  }
  Process process;
  process.pid = header.pid;
  process.file_index = header.file_index;
  process.image = header.image;
  process.first_ticks = header.first_ticks;
  process.first_ns = header.first_ns;
  process.program = FixedText(header.program);
  RETURN_IF_ERROR(SetClock(&header, &process));
  absl::Span<const uint8_t> table = file.subspan(SEXTANT_HEADER_BYTES);
  table = table.subspan(0, std::min<size_t>(header.names_bytes, table.size()));
  process.names = ReadNames(table, header.names);
  process.regions.assign(process.names.size(), kUnknown);
  unrecorded_ += header.threads_unrecorded;
  names_refused_ += header.names_refused;
  process_index_.emplace(key, processes_.size());
  processes_.push_back(std::move(process));
  return absl::OkStatus();
}

// How long a tick is. The worker's own reading long after the process began is the best second
// point of the line; the process's own is the next best.
absl::Status HostImporter::SetClock(const void* raw, Process* process) {
  const auto& header = *static_cast<const sextant_process_file*>(raw);
  const auto rate_to = [&](uint64_t ticks, uint64_t ns) {
    if (ticks <= header.first_ticks || ns < header.first_ns + kLeastBaselineNs) return 0.0;
    return static_cast<double>(ns - header.first_ns) /
           static_cast<double>(ticks - header.first_ticks);
  };
  for (const ClockReference& reference : references_) {
    if (reference.clock != header.clock) continue;
    const double rate = rate_to(reference.ticks, reference.ns);
    const double apart = std::abs(rate / reference.ns_per_tick - 1);
    process->ns_per_tick = apart < kRateTolerance ? rate : reference.ns_per_tick;
    if (rate != 0 && apart >= kRateTolerance) {
      Note(absl::StrCat("process ", header.pid, ": its clock readings do not fit this machine's; ",
                        "where its regions lie in time is not reliable, how long they took is"));
    }
  }
  if (process->ns_per_tick == 0 && header.clock == SEXTANT_CLOCK_MONOTONIC) {
    process->ns_per_tick = 1;
  }
  if (process->ns_per_tick == 0) {
    process->ns_per_tick = rate_to(header.last_ticks, header.last_ns);
  }
  if (!(process->ns_per_tick > 1e-4 && process->ns_per_tick < 1e6)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "process file: no way to convert ticks of clock ", header.clock, " to nanoseconds"));
  }
  return absl::OkStatus();
}

uint64_t HostImporter::ToNs(const Process& process, uint64_t ticks) const {
  const uint64_t since = (ticks - process.first_ticks) & kTickMask;
  // The upper half of the circle is before the process's first reading.
  const double apart = since > kTickMask / 2 ? -static_cast<double>(kTickMask + 1 - since)
                                             : static_cast<double>(since);
  // The difference first: two readings of a long uptime need more bits than a double has.
  const double ns = std::floor(apart * process.ns_per_tick) +
                    static_cast<double>(static_cast<int64_t>(process.first_ns - began_ns_));
  return ns <= 0 ? 0
                 : static_cast<uint64_t>(std::min(ns, static_cast<double>(chunk::kMaxTime / 4)));
}

uint32_t HostImporter::RegionOf(Process* process, uint32_t name_id) {
  if (name_id == 0 || name_id >= process->names.size()) return kUnknown;
  uint32_t& region = process->regions[name_id];
  if (region != kUnknown) return region;
  const std::string& name = process->names[name_id];
  if (const auto found = region_ids_.find(name); found != region_ids_.end()) {
    return region = found->second;
  }
  if (out_.trace.regions.size() >= limits_.max_regions) return kUnknown;
  region = out_.trace.regions.size();
  region_ids_.emplace(name, region);
  out_.trace.regions.push_back(name);
  return region;
}

uint32_t HostImporter::RoleOf(const Process& process, uint32_t name_id) {
  const std::string& name = process.names[name_id < process.names.size() ? name_id : 0];
  const auto [found, added] = role_ids_.emplace(name, out_.trace.roles.size());
  if (added) {
    if (out_.trace.roles.size() >= limits_.max_regions) {
      role_ids_.erase(found);
      return 0;
    }
    out_.trace.roles.push_back(name);
  }
  return found->second;
}

absl::StatusOr<size_t> HostImporter::FindProcess(uint32_t pid, uint32_t file_index) const {
  const auto found = process_index_.find({pid, file_index});
  if (found == process_index_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pid ", pid, " index ", file_index, " has no process file"));
  }
  return found->second;
}

absl::Status HostImporter::AddThread(absl::Span<const uint8_t> file) {
  ASSIGN_OR_RETURN(const Records records,
                   ReadRecordsUntrusted(file, {.max_stretches = limits_.max_tracks}));
  ASSIGN_OR_RETURN(const size_t process_index, FindProcess(records.pid, records.file_index),
                   "thread file");
  Process& process = processes_[process_index];
  const size_t first_track = tracks_.size();
  size_t taken = 0;
  for (const Stretch& stretch : records.stretches) {
    if (tracks_.size() >= limits_.max_tracks) break;
    PendingTrack pending = {.process = process_index, .thread = stretch.thread, .tid = stretch.tid};
    pending.track.sm = stretch.cpu;
    pending.track.role = RoleOf(process, stretch.role);
    pending.track.dropped = std::min(stretch.lost, chunk::kMaxTime / 4);
    pending.track.from_tail = stretch.from_tail;
    tracks_.push_back(pending);
    NoteOpen(process, stretch);
    ++taken;
  }
  for (const Scope& scope : records.scopes) {
    if (scope.region >= process.names.size()) {
      ++malformed_;
      continue;
    }
    const uint32_t region = RegionOf(&process, scope.region);
    if (scope.stretch >= taken || region == kUnknown ||
        out_.instances.size() >= limits_.max_instances) {
      ++over_limit_;
      continue;
    }
    const uint64_t start = ToNs(process, scope.begin_ticks);
    const uint64_t end = ToNs(process, scope.end_ticks);
    if (end < start) ++backwards_;
    out_.instances.push_back({.track = static_cast<uint32_t>(first_track + scope.stretch),
                              .region = region,
                              .start = start,
                              .duration = end < start ? 0 : end - start});
  }
  out_.dropped += records.lost;
  over_limit_ += records.left_out;
  ends_without_begin_ += records.ends_without_begin;
  begins_without_end_ += records.begins_without_end;
  malformed_ += records.malformed;
  short_of_disk_ = short_of_disk_ || records.short_of_disk;
  return absl::OkStatus();
}

void HostImporter::NoteOpen(const Process& process, const Stretch& stretch) {
  if (stretch.open.empty()) return;
  out_.open_scopes += stretch.open.size();
  if (open_named_++ >= limits_.max_open_named) return;
  const uint32_t region = stretch.open.back();
  const std::string& role = process.names[stretch.role < process.names.size() ? stretch.role : 0];
  Note(absl::StrCat("thread ", stretch.thread == kUnknown ? "?" : absl::StrCat(stretch.thread),
                    role.empty() ? "" : absl::StrCat(" (", role, ")"), " of ", process.program,
                    " was inside \"", region < process.names.size() ? process.names[region] : "?",
                    "\" when its process ended"));
}

absl::Status HostImporter::AddCounters(absl::Span<const uint8_t> file) {
  sextant_counter_file header;
  RETURN_IF_ERROR(ReadHeader(file, "counter", SEXTANT_COUNTERS_MAGIC, &header));
  const size_t slots = std::min<size_t>(
      (file.size() - SEXTANT_HEADER_BYTES) / sizeof(sextant_counter_slot), SEXTANT_COUNTER_SLOTS);
  if (header.counters > SEXTANT_MAX_COUNTERS) {
    return absl::InvalidArgumentError(absl::StrCat("counter file: ", header.counters,
                                                   " counters, at most ", SEXTANT_MAX_COUNTERS));
  }
  ASSIGN_OR_RETURN(const size_t process_index, FindProcess(header.pid, header.file_index),
                   "counter file");
  Process& process = processes_[process_index];
  std::vector<std::string> names;
  for (uint32_t i = 0; i < header.counters; ++i) {
    names.push_back(FixedText(header.names[i]));
    if (counter_health_.size() >= 4 * SEXTANT_MAX_COUNTERS && !counter_health_.contains(names[i])) {
      return absl::InvalidArgumentError("counter file: too many different counters in one pass");
    }
    CounterHealth& health = counter_health_[names[i]];
    if (header.errors[i] == 0) {
      health.counted = true;
    } else if (health.refusals.size() < limits_.max_notes) {
      ++health.refusals[header.errors[i]];
    }
  }
  for (size_t s = 0; s < slots; ++s) {
    sextant_counter_slot slot;
    std::memcpy(&slot, file.data() + SEXTANT_HEADER_BYTES + s * sizeof(slot), sizeof(slot));
    const uint32_t region = slot.key == 0 ? kUnknown : RegionOf(&process, slot.key & 0xffff);
    if (region == kUnknown || slot.instances == 0) continue;
    const uint32_t role_id = slot.key >> 16;
    const std::string& role = process.names[role_id < process.names.size() ? role_id : 0];
    for (size_t i = 0; i < names.size(); ++i) {
      const auto key = std::make_pair(names[i], std::make_pair(role, out_.trace.regions[region]));
      if (counter_sums_.size() >= limits_.max_counters && !counter_sums_.contains(key)) continue;
      CounterSum& sum = counter_sums_[key];
      sum.value += static_cast<double>(slot.sums[i]);
      sum.instances += slot.instances;
    }
  }
  if (header.enabled_ns > 0 &&
      static_cast<double>(header.running_ns) < 0.99 * static_cast<double>(header.enabled_ns)) {
    Note(absl::StrCat("hardware counters ran ",
                      header.running_ns * 100.0 / static_cast<double>(header.enabled_ns),
                      " % of the time only, others used them too: the sums are too low by as much; "
                      "ask for fewer counters in one pass"));
  }
  if (header.slots_refused > 0 || header.too_deep > 0 || header.read_failures > 0) {
    Note(absl::StrCat("counters are incomplete: ", header.slots_refused,
                      " sums did not fit the table, ", header.too_deep,
                      " scopes were nested deeper than ", SEXTANT_COUNTER_DEPTH, ", ",
                      header.read_failures, " readings failed"));
  }
  return absl::OkStatus();
}

}  // namespace sextant::backends::host
