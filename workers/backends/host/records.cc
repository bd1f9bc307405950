#include "workers/backends/host/records.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/include/sextant/detail/format.h"

namespace sextant::backends::host {
namespace {

constexpr size_t kMaxOpenNamed = 64;

// Where the records of a buffer lie.
struct Layout {
  uint64_t kept = 0;
  uint64_t oldest = 0;  // index of the first record kept
  uint64_t capacity = 0;
  uint64_t lost = 0;
};

bool LayoutOf(const sextant_thread_file& header, Layout* layout) {
  const uint64_t laps = header.position >> 32;
  const uint64_t next = header.position & UINT32_MAX;
  if (header.capacity == 0 || header.capacity > SEXTANT_MAX_RECORDS || next > header.capacity) {
    return false;
  }
  layout->capacity = header.capacity;
  layout->kept = laps == 0 ? next : header.capacity;
  layout->oldest = laps == 0 ? 0 : next % header.capacity;
  layout->lost = laps * header.capacity + next - layout->kept;
  return true;
}

// Pairs the records as they come.
class Pairing {
 public:
  Pairing(Records* out, const ReadLimits& limits)
      : out_(*out), limits_(limits), open_of_region_(SEXTANT_MAX_NAMES) {}

  void HeadLost(uint64_t lost) {
    Current().lost = lost;
    Current().from_tail = true;
  }

  void Add(uint64_t record) {
    const uint32_t id = (record >> 1) & SEXTANT_MARK_ID;
    const bool end = record & 1;
    const uint64_t ticks = record >> 16;
    if (id == SEXTANT_MARK_ID) {
      end ? ThreadEnds(ticks) : ThreadStarts(ticks);
    } else if (id == 0 || id >= SEXTANT_MAX_NAMES) {
      ++out_.malformed;
    } else if (end) {
      ScopeEnds(id, ticks);
    } else {
      ScopeBegins(id, ticks);
    }
  }

  // No more records: who has the buffer now, by its header.
  void Finish(const sextant_thread_file& header) {
    if (!has_current_) return;
    Stretch& stretch = Current();
    if (header.thread != 0) {
      if (stretch.thread == kUnknown) stretch.thread = header.thread - 1;
      stretch.tid = header.tid;
      stretch.role = header.role;
    }
    for (size_t i = 0; i < open_.size() && i < kMaxOpenNamed; ++i) {
      stretch.open.push_back(open_[i].region);
    }
    DropIfEmpty();
  }

 private:
  struct Open {
    uint32_t region;
    uint64_t ticks;
  };

  Stretch& Current() {
    if (!has_current_) {
      out_.stretches.emplace_back();
      scopes_before_ = out_.scopes.size();
      has_current_ = true;
    }
    return out_.stretches.back();
  }

  void ThreadStarts(uint64_t what) {
    if (has_current_) Close();  // the thread before left without a mark
    Current().thread = what >> 28;
    Current().tid = what & 0x3fffff;
  }

  void ThreadEnds(uint64_t what) {
    Stretch& stretch = Current();
    if (stretch.thread == kUnknown) stretch.thread = what >> 28;
    stretch.role = (what >> 14) & 0x3fff;
    stretch.cpu = what & 0x3fff;
    Close();
  }

  void Close() {
    out_.begins_without_end += open_.size();
    while (!open_.empty()) Pop();
    DropIfEmpty();
    has_current_ = false;
  }

  // A thread without a scope needs no track; neither does one too many.
  void DropIfEmpty() {
    const Stretch& stretch = out_.stretches.back();
    const size_t scopes = out_.scopes.size() - scopes_before_;
    const bool too_many = out_.stretches.size() > limits_.max_stretches;
    if (too_many) {
      out_.left_out += scopes;
      out_.scopes.resize(scopes_before_);
    }
    if (too_many || (scopes == 0 && stretch.lost == 0 && stretch.open.empty())) {
      out_.stretches.pop_back();
    }
  }

  void ScopeBegins(uint32_t region, uint64_t ticks) {
    Current();
    if (open_.size() >= limits_.max_open) {
      ++out_.malformed;
      return;
    }
    open_.push_back({region, ticks});
    ++open_of_region_[region];
  }

  void ScopeEnds(uint32_t region, uint64_t ticks) {
    const Stretch& stretch = Current();
    if (open_of_region_[region] == 0) {
      if (!stretch.from_tail) ++out_.ends_without_begin;
      return;
    }
    for (; open_.back().region != region; Pop()) ++out_.begins_without_end;
    out_.scopes.push_back({.stretch = static_cast<uint32_t>(out_.stretches.size() - 1),
                           .region = region,
                           .begin_ticks = open_.back().ticks,
                           .end_ticks = ticks});
    Pop();
  }

  void Pop() {
    --open_of_region_[open_.back().region];
    open_.pop_back();
  }

  Records& out_;
  const ReadLimits limits_;
  bool has_current_ = false;  // the last stretch is still being read
  size_t scopes_before_ = 0;  // in out_.scopes when it began
  std::vector<Open> open_;
  std::vector<uint32_t> open_of_region_;
};

}  // namespace

uint64_t UsedBytesUntrusted(absl::Span<const uint8_t> header) {
  sextant_thread_file fields;
  Layout layout;
  if (header.size() < SEXTANT_HEADER_BYTES) return 0;
  std::memcpy(&fields, header.data(), sizeof(fields));
  if (!LayoutOf(fields, &layout)) return 0;
  return SEXTANT_HEADER_BYTES + layout.kept * sizeof(uint64_t);
}

absl::StatusOr<Records> ReadRecordsUntrusted(absl::Span<const uint8_t> file,
                                             const ReadLimits& limits) {
  sextant_thread_file header;
  Layout layout;
  if (file.size() < SEXTANT_HEADER_BYTES) {
    return absl::InvalidArgumentError(
        absl::StrCat("thread file: ", file.size(), " bytes are less than its header"));
  }
  std::memcpy(&header, file.data(), sizeof(header));
  if (std::memcmp(header.magic, SEXTANT_THREAD_MAGIC, sizeof(header.magic)) != 0) {
    return absl::InvalidArgumentError("thread file: magic is not that of a thread file");
  }
  if (header.version != SEXTANT_FORMAT_VERSION) {
    return absl::InvalidArgumentError(absl::StrCat("thread file: version ", header.version,
                                                   ", this worker reads ", SEXTANT_FORMAT_VERSION));
  }
  if (!LayoutOf(header, &layout)) {
    return absl::InvalidArgumentError(absl::StrCat("thread file: position ", header.position,
                                                   " is not within capacity ", header.capacity,
                                                   " (at most ", SEXTANT_MAX_RECORDS, ")"));
  }
  if ((file.size() - SEXTANT_HEADER_BYTES) / sizeof(uint64_t) < layout.kept) {
    return absl::InvalidArgumentError(absl::StrCat("thread file: ", file.size(),
                                                   " bytes cannot hold the ", layout.kept,
                                                   " records its header claims"));
  }
  Records records;
  records.pid = header.pid;
  records.file_index = header.file_index;
  records.short_of_disk = header.short_of_disk != 0;
  records.lost = layout.lost;
  Pairing pairing(&records, limits);
  if (layout.lost > 0) pairing.HeadLost(layout.lost);
  const uint8_t* const payload = file.data() + SEXTANT_HEADER_BYTES;
  for (uint64_t i = 0; i < layout.kept; ++i) {
    uint64_t record;
    const uint64_t at = layout.oldest + i;
    std::memcpy(&record,
                payload + (at < layout.capacity ? at : at - layout.capacity) * sizeof(record),
                sizeof(record));
    pairing.Add(record);
  }
  pairing.Finish(header);
  return records;
}

}  // namespace sextant::backends::host
