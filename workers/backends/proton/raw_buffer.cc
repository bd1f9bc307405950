#include "workers/backends/proton/raw_buffer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sextant::backends::proton {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint32_t kPreamble = 0xdeadbeef;
constexpr uint64_t kFixedHeaderBytes = 40;
constexpr uint64_t kBlockHeaderBytes = 40;
constexpr uint64_t kRecordBytes = 8;
constexpr uint32_t kMaxScopes = 256;
constexpr uint64_t kHighClockBits = 11;
constexpr int64_t kMaxCycles = int64_t{1} << 50;  // days; what lies farther is no clock
constexpr uint64_t kMaxSpanNs = uint64_t{1} << 50;
constexpr uint64_t kMinClockSpanNs = 2000;  // start and end are read to 32 ns

uint32_t U32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

uint64_t U64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

struct Layout {
  uint64_t payload_offset = 0;
  uint32_t blocks = 0;
  uint32_t units = 0;
  uint64_t block_bytes = 0;
  std::vector<uint32_t> recording;  // ids of the units that have a part of the data, in order
};

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("raw buffer: ", args...));
}

absl::Status ReadLayout(absl::Span<const uint8_t> file, const ImportLimits& limits, Layout* out) {
  if (file.size() < kFixedHeaderBytes) {
    return Invalid(file.size(), " bytes are less than its header's ", kFixedHeaderBytes);
  }
  if (const uint32_t version = U32(file.data()); version != kVersion) {
    return Invalid("version ", version, ", this worker reads ", kVersion);
  }
  const uint64_t header_bytes = U32(file.data() + 8);
  out->payload_offset = U32(file.data() + 12);
  out->blocks = U32(file.data() + 24);
  out->units = U32(file.data() + 28);
  out->block_bytes = U32(file.data() + 32);
  const uint32_t recording = U32(file.data() + 36);
  if (out->units == 0 || out->units > limits.max_units) {
    return Invalid("total_unit ", out->units, " is not from 1 to ", limits.max_units);
  }
  if (recording == 0 || recording > out->units) {
    return Invalid("uid_num ", recording, " is not from 1 to total_unit ", out->units);
  }
  if (header_bytes != kFixedHeaderBytes + uint64_t{recording} * 4 ||
      out->payload_offset < header_bytes || out->payload_offset > file.size()) {
    return Invalid("header_size ", header_bytes, " and payload_offset ", out->payload_offset,
                   " do not fit ", recording, " units and ", file.size(), " bytes");
  }
  if (out->block_bytes < kBlockHeaderBytes + uint64_t{out->units} * 4 || out->block_bytes % 4 != 0) {
    return Invalid("scratch_mem_size ", out->block_bytes, " is less than the header of a block, ",
                   kBlockHeaderBytes + uint64_t{out->units} * 4, ", or no multiple of 4");
  }
  if ((file.size() - out->payload_offset) / out->block_bytes < out->blocks) {
    return Invalid("block_num ", out->blocks, " of ", out->block_bytes, " bytes are more than the ",
                   file.size() - out->payload_offset, " bytes there are");
  }
  for (uint32_t i = 0; i < recording; ++i) {
    const uint32_t unit = U32(file.data() + kFixedHeaderBytes + i * 4);
    if (unit >= out->units) {
      return Invalid("uid_vec[", i, "] is ", unit, ", total_unit is ", out->units);
    }
    out->recording.push_back(unit);
  }
  return absl::OkStatus();
}

// How many instances there can be: two records each, as far as they fit.
uint64_t CountPairs(const Layout& layout, const uint8_t* block) {
  uint64_t words = 0;
  const uint64_t room = layout.block_bytes / 4 / layout.recording.size();
  for (uint32_t i = 0; i < layout.blocks; ++i, block += layout.block_bytes) {
    if (U32(block) != kPreamble) continue;
    for (const uint32_t unit : layout.recording) {
      words += std::min<uint64_t>(U32(block + kBlockHeaderBytes + unit * 4), room);
    }
  }
  return words / 4;
}

// Reads the blocks of one launch. Owns what is used again from block to block.
class BlockReader {
 public:
  BlockReader(const Layout& layout, const RawLaunch& launch, uint32_t launch_index,
              ClockEstimate& clock, Recording& recording)
      : layout_(layout), launch_(launch), launch_index_(launch_index), clock_(clock),
        recording_(recording) {
    open_mask_.fill(0);
    regions_.fill(kUnasked);
    parts_.resize(layout.recording.size());
  }

  // False: the block was not written.
  bool Read(const uint8_t* block) {
    if (U32(block) != kPreamble) return false;
    const uint64_t room = layout_.block_bytes - kBlockHeaderBytes - uint64_t{layout_.units} * 4;
    const uint64_t data_bytes = std::min<uint64_t>(U32(block + 12), room);
    capacity_ = data_bytes / layout_.recording.size() / kRecordBytes;
    if (capacity_ == 0) return false;
    start_ns_ = U64(block + 16);
    const uint64_t end_ns = U64(block + 24);
    span_ns_ = end_ns >= start_ns_ && end_ns - start_ns_ < kMaxSpanNs ? end_ns - start_ns_ : 0;
    FindParts(block, data_bytes);
    FindClock();
    if (!any_) return true;
    Place(block);
    return true;
  }

  uint64_t start_ns() const { return start_ns_; }

 private:
  static constexpr uint32_t kUnasked = UINT32_MAX - 1;

  struct Part {
    const uint8_t* data = nullptr;
    uint64_t kept = 0;
    uint64_t oldest = 0;  // index of the first record in time
    uint64_t lost = 0;
  };

  void FindParts(const uint8_t* block, uint64_t data_bytes) {
    const uint8_t* const data = block + kBlockHeaderBytes + uint64_t{layout_.units} * 4;
    // Records start at multiples of a part's size in bytes, which need not be whole records.
    const uint64_t part_bytes = data_bytes / layout_.recording.size();
    for (size_t i = 0; i < parts_.size(); ++i) {
      const uint64_t written = U32(block + kBlockHeaderBytes + layout_.recording[i] * 4) / 2;
      Part& part = parts_[i];
      part.data = data + i * part_bytes;
      part.kept = std::min(written, capacity_);
      part.lost = written - part.kept;
      part.oldest = part.lost > 0 ? written % capacity_ : 0;
    }
  }

  // 43 bits of the clock, or 32 where the compiler was asked for the short clock: then the bits above
  // are 0 in all records. What the bits mean is the same unless the clock passes 2^32.
  void FindClock() {
    uint32_t high = 0;
    any_ = false;
    head_lost_ = false;
    for (const Part& part : parts_) {
      head_lost_ |= part.lost > 0;
      if (part.kept > 0 && !any_) {
        any_ = true;
        reference_ = Clock(part.data + part.oldest * kRecordBytes);
      }
      for (uint64_t i = 0; i < part.kept && high == 0; ++i) {
        high |= U32(part.data + i * kRecordBytes) & ((1u << kHighClockBits) - 1);
      }
    }
    bits_ = high == 0 ? 32 : 32 + kHighClockBits;
  }

  static uint64_t Clock(const uint8_t* record) {
    return (uint64_t{U32(record)} & ((1u << kHighClockBits) - 1)) << 32 | U32(record + 4);
  }

  // `clock` − `before` as a signed number of bits_ bits.
  int64_t Since(uint64_t before, uint64_t clock) const {
    return static_cast<int64_t>((clock - before) << (64 - bits_)) >> (64 - bits_);
  }

  void Place(const uint8_t* block) {
    least_ = INT64_MAX;
    most_ = INT64_MIN;
    const size_t first = recording_.instances();
    tracks_.assign(parts_.size(), UINT32_MAX);
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (parts_[i].kept == 0) continue;
      tracks_[i] = recording_.AddTrack({.launch = launch_index_,
                                        .cta = U32(block + 4),
                                        .sm = U32(block + 8),
                                        .warp = layout_.recording[i],
                                        .origin_ns = start_ns_,
                                        .dropped = parts_[i].lost,
                                        .from_tail = parts_[i].lost > 0});
      recording_.losses().overwritten += parts_[i].lost;
      Pair(parts_[i], tracks_[i]);
    }
    // Now that the CTA's first record is known.
    recording_.ShiftStarts(first, static_cast<uint64_t>(-least_));
    const auto span = static_cast<uint64_t>(most_ - least_);
    clock_.See(span, span_ns_);
    if (!head_lost_) return;
    for (const uint32_t track : tracks_) recording_.AnchorAtEnd(track, span, span_ns_);
  }

  // Begins and ends of one unit, in the order they were written. Scopes may overlap without nesting:
  // an end belongs to the last begin of the same scope.
  void Pair(const Part& part, uint32_t track) {
    const uint8_t* record = part.data + part.oldest * kRecordBytes;
    const uint8_t* const end = part.data + capacity_ * kRecordBytes;
    uint64_t before = Clock(record);
    int64_t now = Since(reference_, before);
    open_mask_.fill(0);
    uint64_t unended = 0, unbegun = 0;
    for (uint64_t i = 0; i < part.kept; ++i) {
      const uint32_t word = U32(record);
      const uint64_t clock = Clock(record);
      now += Since(before, clock);
      before = clock;
      if (now > kMaxCycles || now < -kMaxCycles) {
        ++recording_.losses().malformed;
        break;
      }
      least_ = std::min(least_, now);
      most_ = std::max(most_, now);
      const uint32_t scope = word >> 23 & 0xff;
      uint64_t& mask = open_mask_[scope / 64];
      const uint64_t bit = uint64_t{1} << scope % 64;
      if (word >> 31 == 0) {
        unended += (mask & bit) != 0;
        mask |= bit;
        open_[scope] = now;
      } else if ((mask & bit) != 0) {
        mask &= ~bit;
        const bool backwards = now < open_[scope];
        recording_.losses().backwards += backwards;
        recording_.Add(track, RegionOf(scope), static_cast<uint64_t>(open_[scope]),
                       backwards ? 0 : static_cast<uint64_t>(now - open_[scope]));
      } else {
        ++unbegun;
      }
      record += kRecordBytes;
      if (record == end) record = part.data;
    }
    for (const uint64_t mask : open_mask_) unended += std::popcount(mask);
    recording_.losses().begins_without_end += unended;
    if (part.lost == 0) recording_.losses().ends_without_begin += unbegun;
  }

  uint32_t RegionOf(uint32_t scope) {
    uint32_t& region = regions_[scope];
    if (region == kUnasked) {
      const bool named = scope < launch_.scopes.size() && !launch_.scopes[scope].empty();
      region = recording_.Region(launch_index_, named ? launch_.scopes[scope]
                                                      : absl::StrCat("scope_", scope));
    }
    return region;
  }

  const Layout& layout_;
  const RawLaunch& launch_;
  const uint32_t launch_index_;
  ClockEstimate& clock_;
  Recording& recording_;
  std::array<uint32_t, kMaxScopes> regions_;

  // Of the block being read.
  uint64_t capacity_ = 0;  // records a unit
  uint64_t start_ns_ = 0;
  uint64_t span_ns_ = 0;   // from start to the last thing before the buffer was written; 0: unknown
  int bits_ = 43;
  bool any_ = false;
  bool head_lost_ = false;
  uint64_t reference_ = 0;  // clock of the first record
  int64_t least_ = 0;       // of all records, in cycles since reference_
  int64_t most_ = 0;
  std::vector<Part> parts_;
  std::vector<uint32_t> tracks_;
  std::array<int64_t, kMaxScopes> open_;
  std::array<uint64_t, kMaxScopes / 64> open_mask_;
};

}  // namespace

void ClockEstimate::See(uint64_t span_cycles, uint64_t span_ns) {
  if (span_ns < kMinClockSpanNs) return;
  const double rate = static_cast<double>(span_cycles) / static_cast<double>(span_ns);
  // No clock of a GPU is faster than 10 GHz: such a span is a damaged record's.
  if (rate > 10) return;
  cycles_per_ns = std::max(cycles_per_ns, rate);
}

absl::Status AddRawBufferUntrusted(absl::Span<const uint8_t> file, RawLaunch& launch,
                                   ClockEstimate& clock, Recording& recording) {
  Layout layout;
  if (absl::Status good = ReadLayout(file, recording.limits(), &layout); !good.ok()) return good;
  const uint32_t index = recording.AddLaunch(launch.kernel, launch.number);
  BlockReader reader(layout, launch, index, clock, recording);
  const uint8_t* block = file.data() + layout.payload_offset;
  recording.Reserve(CountPairs(layout, block));
  launch.first_origin_ns = UINT64_MAX;
  for (uint32_t i = 0; i < layout.blocks; ++i, block += layout.block_bytes) {
    if (reader.Read(block) && reader.start_ns() > 0) {
      launch.first_origin_ns = std::min(launch.first_origin_ns, reader.start_ns());
    }
  }
  if (launch.first_origin_ns == UINT64_MAX) launch.first_origin_ns = 0;
  return absl::OkStatus();
}

}  // namespace sextant::backends::proton
