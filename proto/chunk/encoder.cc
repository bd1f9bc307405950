#include "proto/chunk/encoder.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/chunk/varint.h"
#include "proto/status/status.h"

namespace sextant::chunk {
namespace {

constexpr int kZstdLevel = 1;
constexpr uint32_t kNowhere = UINT32_MAX;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("trace: ", args...));
}

// The order within one ns: by track, then start, then the enclosing region before the enclosed.
bool GoesBefore(const Instance& a, const Instance& b) {
  if (a.track != b.track) return a.track < b.track;
  if (a.start != b.start) return a.start < b.start;
  if (a.duration != b.duration) return a.duration > b.duration;
  return a.region < b.region;
}

}  // namespace

class Encoder::Impl {
 public:
  Impl(TraceInfo info, ChunkSink sink, Limits limits)
      : info_(std::move(info)), sink_(std::move(sink)), limits_(limits) {}

  absl::Status Check();
  absl::Status Add(std::vector<Instance> instances);
  absl::Status Finish();
  uint32_t chunks() const { return sequence_; }

 private:
  struct Local {            // a track of the chunk being written
    uint32_t track;
    uint32_t count;
    uint32_t at;            // where its next event goes
  };

  uint64_t Place(const Instance& e) const {
    return PlaceNs(info_.tracks[e.track].origin_ns, e.start, info_.ns_per_unit);
  }
  void SortByTime(std::vector<Instance>& instances, uint64_t min_ns, uint64_t max_ns) const;
  void SortTies(std::vector<Instance>& instances) const;
  // Cuts instances that are in time order.
  absl::Status Cut(const Instance* begin, const Instance* end);
  absl::Status Emit(const Instance* begin, const Instance* end);
  void GroupByTrack(const Instance* begin, const Instance* end);
  uint8_t* PutTracks(uint8_t* out);
  uint8_t* PutOrdinals(uint8_t* out);
  absl::Status Send(uint32_t events, uint64_t first_ns, uint64_t last_ns, const uint8_t* columns_end);

  TraceInfo info_;
  ChunkSink sink_;
  Limits limits_;
  uint32_t sequence_ = 0;
  uint64_t last_start_ns_ = 0;
  v1::ChunkHeader header_;                               // what all chunks have in common
  std::vector<bool> told_;                               // tracks that went out: dropped is told
  absl::flat_hash_map<uint64_t, uint64_t> ordinals_;     // (track, region) → instances written

  // Of the chunk being written; kept to be used again.
  std::vector<uint32_t> local_of_;                       // track → index into locals_
  std::vector<Local> locals_;
  std::vector<Instance> grouped_;
  std::vector<uint64_t> counted_;                        // region → instances on this track
  std::vector<uint32_t> seen_;                           // regions of this track
  std::vector<uint64_t> rest_;                           // of the starts, above their lowest byte
  std::vector<uint8_t> columns_;
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> zstd_{ZSTD_createCCtx(), ZSTD_freeCCtx};
};

absl::Status Encoder::Impl::Check() {
  if (info_.unit != v1::NANOSECONDS && info_.unit != v1::CYCLES) return Invalid("unit is not set");
  if (!std::isfinite(info_.ns_per_unit) || info_.ns_per_unit <= 0 ||
      info_.ns_per_unit > kMaxNsPerUnit ||
      (info_.unit == v1::NANOSECONDS && info_.ns_per_unit != 1)) {
    return Invalid("ns_per_unit is ", info_.ns_per_unit);
  }
  if (info_.regions.size() > limits_.max_regions) {
    return Invalid(info_.regions.size(), " regions, the limit max_regions_per_pass is ",
                   limits_.max_regions);
  }
  if (info_.roles.size() > limits_.max_roles) {
    return Invalid(info_.roles.size(), " roles, the limit is ", limits_.max_roles);
  }
  for (size_t i = 0; i < info_.tracks.size(); ++i) {
    const Track& t = info_.tracks[i];
    if (t.role >= info_.roles.size()) {
      return Invalid("tracks[", i, "].role is ", t.role, ", there are ", info_.roles.size());
    }
    if (t.origin_ns > kMaxTime) return Invalid("tracks[", i, "].origin_ns is ", t.origin_ns);
    if (t.dropped > kMaxTime) return Invalid("tracks[", i, "].dropped is ", t.dropped);
  }
  if (info_.tracks.size() >= kNowhere) return Invalid(info_.tracks.size(), " tracks");
  header_.set_version(kVersion);
  header_.set_unit(info_.unit);
  header_.set_ns_per_unit(info_.ns_per_unit);
  header_.set_kernel(CleanName(info_.kernel, limits_.max_name_bytes));
  for (const auto& name : info_.regions) {
    header_.add_regions(CleanName(name, limits_.max_name_bytes));
  }
  for (const auto& name : info_.roles) header_.add_roles(CleanName(name, limits_.max_name_bytes));
  if (header_.ByteSizeLong() + info_.regions.size() / 8 + 128 > kMaxHeaderBytes) {
    return Invalid("the names of ", info_.regions.size(), " regions and ", info_.roles.size(),
                   " roles take more than ", kMaxHeaderBytes, " bytes");
  }
  told_.resize(info_.tracks.size());
  local_of_.assign(info_.tracks.size(), kNowhere);
  counted_.assign(info_.regions.size(), 0);
  return absl::OkStatus();
}

absl::Status Encoder::Impl::Add(std::vector<Instance> instances) {
  const double scale = info_.ns_per_unit;
  uint64_t before = 0, min = UINT64_MAX, max = 0;
  bool sorted = true, tied = false;
  if (instances.size() > UINT32_MAX) return Invalid(instances.size(), " instances at once");
  for (size_t i = 0; i < instances.size(); ++i) {
    const Instance& e = instances[i];
    if (e.track >= info_.tracks.size() || e.region >= info_.regions.size()) {
      return Invalid("instance ", i, ": track ", e.track, " of ", info_.tracks.size(), ", region ",
                     e.region, " of ", info_.regions.size());
    }
    const uint64_t origin = info_.tracks[e.track].origin_ns;
    if (e.start > kMaxTime || e.duration > kMaxTime ||
        static_cast<double>(e.start + e.duration) * scale + static_cast<double>(origin) >=
            static_cast<double>(kMaxTime)) {
      return Invalid("instance ", i, ": start ", e.start, ", duration ", e.duration,
                     " is out of range");
    }
    const uint64_t ns = PlaceNs(origin, e.start, scale);
    sorted &= ns >= before;
    tied |= ns == before;
    before = ns;
    min = std::min(min, ns);
    max = std::max(max, ns);
  }
  if (instances.empty()) return absl::OkStatus();
  if (min < last_start_ns_) {
    return Invalid("instances from ", min, " ns on are added after one of ", last_start_ns_, " ns");
  }
  last_start_ns_ = max;
  if (!sorted) SortByTime(instances, min, max);
  if (!sorted || tied) SortTies(instances);
  return Cut(instances.data(), instances.data() + instances.size());
}

// Stable radix sort, 11 bits a round, only as many rounds as the times differ in.
void Encoder::Impl::SortByTime(std::vector<Instance>& instances, uint64_t min_ns,
                               uint64_t max_ns) const {
  struct Keyed {
    uint64_t ns;
    uint32_t index;
  };
  std::vector<Keyed> keyed(instances.size()), other(instances.size());
  for (uint32_t i = 0; i < keyed.size(); ++i) keyed[i] = {Place(instances[i]) - min_ns, i};
  for (int shift = 0; shift < 64 && (max_ns - min_ns) >> shift != 0; shift += 11) {
    std::array<size_t, 2048> at{};
    for (const Keyed& k : keyed) ++at[k.ns >> shift & 2047];
    size_t sum = 0;
    for (size_t& a : at) sum += std::exchange(a, sum);
    for (const Keyed& k : keyed) other[at[k.ns >> shift & 2047]++] = k;
    keyed.swap(other);
  }
  std::vector<Instance> ordered(instances.size());
  for (size_t i = 0; i < keyed.size(); ++i) ordered[i] = instances[keyed[i].index];
  instances.swap(ordered);
}

void Encoder::Impl::SortTies(std::vector<Instance>& instances) const {
  for (auto begin = instances.begin(); begin != instances.end();) {
    const uint64_t ns = Place(*begin);
    auto end = begin + 1;
    while (end != instances.end() && Place(*end) == ns) ++end;
    if (end - begin > 1) std::sort(begin, end, GoesBefore);
    begin = end;
  }
}

absl::Status Encoder::Impl::Cut(const Instance* begin, const Instance* end) {
  while (begin != end) {
    const Instance* stop = begin + std::min<size_t>(end - begin, limits_.max_events);
    RETURN_IF_ERROR(Emit(begin, stop));
    begin = stop;
  }
  return absl::OkStatus();
}

// Counting sort: within a track the order of time stays.
void Encoder::Impl::GroupByTrack(const Instance* begin, const Instance* end) {
  locals_.clear();
  for (const Instance* e = begin; e != end; ++e) {
    uint32_t& local = local_of_[e->track];
    if (local == kNowhere) {
      local = static_cast<uint32_t>(locals_.size());
      locals_.push_back({e->track, 0, 0});
    }
    ++locals_[local].count;
  }
  std::sort(locals_.begin(), locals_.end(),
            [](const Local& a, const Local& b) { return a.track < b.track; });
  uint32_t at = 0;
  for (uint32_t i = 0; i < locals_.size(); ++i) {
    local_of_[locals_[i].track] = i;
    locals_[i].at = at;
    at += locals_[i].count;
  }
  grouped_.resize(end - begin);
  for (const Instance* e = begin; e != end; ++e) grouped_[locals_[local_of_[e->track]].at++] = *e;
  for (const Local& l : locals_) local_of_[l.track] = kNowhere;
}

uint8_t* Encoder::Impl::PutTracks(uint8_t* out) {
  auto column = [&](bool delta, auto get) {
    uint64_t before = 0;
    for (const Local& l : locals_) {
      const uint64_t value = get(info_.tracks[l.track]);
      out = PutVarint(out, delta ? ZigZag(value, before) : value);
      before = value;
    }
  };
  column(true, [](const Track& t) { return t.launch; });
  column(true, [](const Track& t) { return t.cta; });
  column(false, [](const Track& t) { return t.sm; });
  column(true, [](const Track& t) { return t.warp; });
  column(false, [](const Track& t) { return t.role; });
  column(true, [](const Track& t) { return t.origin_ns; });
  for (const Local& l : locals_) out = PutVarint(out, l.count);
  for (const Local& l : locals_) {
    out = PutVarint(out, told_[l.track] ? 0 : info_.tracks[l.track].dropped);
  }
  column(false, [](const Track& t) { return t.from_tail ? 1 : 0; });
  return out;
}

uint8_t* Encoder::Impl::PutOrdinals(uint8_t* out) {
  const Instance* e = grouped_.data();
  for (const Local& l : locals_) {
    seen_.clear();
    for (const Instance* end = e + l.count; e != end; ++e) {
      if (counted_[e->region]++ == 0) seen_.push_back(e->region);
    }
    for (uint32_t region : seen_) {
      uint64_t& written = ordinals_[uint64_t{l.track} << 32 | region];
      out = PutVarint(out, written);
      written += std::exchange(counted_[region], 0);
    }
  }
  return out;
}

absl::Status Encoder::Impl::Emit(const Instance* begin, const Instance* end) {
  GroupByTrack(begin, end);
  if (locals_.size() > limits_.max_tracks) {
    const Instance* middle = begin + (end - begin) / 2;
    RETURN_IF_ERROR(Emit(begin, middle));
    return Emit(middle, end);
  }
  const size_t n = end - begin;
  columns_.resize((locals_.size() * 9 + n * 4 + 1) * (kMaxVarint + 1));
  uint8_t* out = PutTracks(columns_.data());

  std::string bitmap((info_.regions.size() + 7) / 8, '\0');
  for (const Instance& e : grouped_) {
    out = PutVarint(out, e.region);
    bitmap[e.region / 8] |= static_cast<char>(1 << e.region % 8);
  }
  while (!bitmap.empty() && bitmap.back() == '\0') bitmap.pop_back();
  uint64_t first = UINT64_MAX, last = 0;
  rest_.resize(n);
  uint64_t* rest = rest_.data();
  const Instance* e = grouped_.data();
  for (const Local& l : locals_) {
    const uint64_t origin = info_.tracks[l.track].origin_ns;
    uint64_t before = 0, track_last = 0;
    first = std::min(first, PlaceNs(origin, e->start, info_.ns_per_unit));
    for (const Instance* stop = e + l.count; e != stop; ++e) {
      *out++ = static_cast<uint8_t>(e->start - before);
      *rest++ = (e->start - before) >> 8;
      before = e->start;
      track_last = std::max(track_last, e->start + e->duration);
    }
    last = std::max(last, PlaceNs(origin, track_last, info_.ns_per_unit));
  }
  for (uint64_t r : rest_) out = PutVarint(out, r);
  for (const Instance& e : grouped_) *out++ = static_cast<uint8_t>(e.duration);
  for (const Instance& e : grouped_) out = PutVarint(out, e.duration >> 8);
  out = PutOrdinals(out);
  header_.set_region_bitmap(bitmap);
  return Send(static_cast<uint32_t>(n), first, last, out);
}

absl::Status Encoder::Impl::Send(uint32_t events, uint64_t first_ns, uint64_t last_ns,
                                 const uint8_t* columns_end) {
  uint64_t dropped = 0;
  for (const Local& l : locals_) {
    if (!told_[l.track]) dropped += info_.tracks[l.track].dropped;
    told_[l.track] = true;
  }
  const size_t size = columns_end - columns_.data();
  header_.set_sequence(sequence_);
  header_.set_tracks(static_cast<uint32_t>(locals_.size()));
  header_.set_events(events);
  header_.set_first_ns(first_ns);
  header_.set_last_ns(last_ns);
  header_.set_columns_bytes(size);
  header_.set_dropped(dropped);

  // Header and columns are the two fields of a v1::Chunk, written without a copy of the columns.
  std::string bytes;
  const size_t header_size = header_.ByteSizeLong();
  bytes.resize(header_size + ZSTD_compressBound(size) + 4 * kMaxVarint);
  uint8_t* const base = reinterpret_cast<uint8_t*>(bytes.data());
  uint8_t* out = base;
  *out++ = 1 << 3 | 2;
  out = PutVarint(out, header_size);
  out = header_.SerializeWithCachedSizesToArray(out);
  // The length before the columns is known after compressing: compress behind it, then move.
  uint8_t* const body = out + 1 + kMaxVarint;
  const size_t packed = ZSTD_compressCCtx(zstd_.get(), body, base + bytes.size() - body,
                                          columns_.data(), size, kZstdLevel);
  if (ZSTD_isError(packed)) {
    return absl::InternalError(absl::StrCat("trace: zstd: ", ZSTD_getErrorName(packed)));
  }
  *out++ = 2 << 3 | 2;
  out = PutVarint(out, packed);
  std::memmove(out, body, packed);
  bytes.resize(out + packed - base);
  if (bytes.size() > limits_.max_chunk_bytes) {
    return Invalid("a chunk of ", events, " events takes ", bytes.size(),
                   " bytes, the limit max_chunk_bytes is ", limits_.max_chunk_bytes);
  }
  EncodedChunk chunk;
  chunk.digest = Digest(bytes);
  chunk.bytes = std::move(bytes);
  chunk.sequence = sequence_++;
  chunk.events = events;
  chunk.tracks = static_cast<uint32_t>(locals_.size());
  chunk.first_ns = first_ns;
  chunk.last_ns = last_ns;
  return sink_(std::move(chunk));
}

absl::Status Encoder::Impl::Finish() {
  std::vector<uint32_t> silent;
  for (uint32_t t = 0; t < told_.size(); ++t) {
    if (!told_[t] && info_.tracks[t].dropped > 0) silent.push_back(t);
  }
  for (size_t at = 0; at < silent.size() || sequence_ == 0;) {
    const size_t end = std::min<size_t>(silent.size(), at + limits_.max_tracks);
    locals_.clear();
    for (; at < end; ++at) locals_.push_back({silent[at], 0, 0});
    columns_.resize((locals_.size() * 9 + 1) * kMaxVarint);
    header_.clear_region_bitmap();
    RETURN_IF_ERROR(Send(0, 0, 0, PutTracks(columns_.data())));
  }
  return absl::OkStatus();
}

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Create(TraceInfo info, ChunkSink sink,
                                                         Limits limits) {
  auto impl = std::make_unique<Impl>(std::move(info), std::move(sink), limits);
  RETURN_IF_ERROR(impl->Check());
  return std::unique_ptr<Encoder>(new Encoder(std::move(impl)));
}

absl::Status Encoder::Add(std::vector<Instance> instances) {
  return impl_->Add(std::move(instances));
}
absl::Status Encoder::Finish() { return impl_->Finish(); }
uint32_t Encoder::chunks() const { return impl_->chunks(); }

absl::Status EncodeTrace(TraceInfo info, std::vector<Instance> instances, ChunkSink sink,
                         Limits limits) {
  ASSIGN_OR_RETURN(auto encoder, Encoder::Create(std::move(info), std::move(sink), limits));
  RETURN_IF_ERROR(encoder->Add(std::move(instances)));
  return encoder->Finish();
}

absl::StatusOr<std::vector<EncodedChunk>> EncodeTrace(TraceInfo info,
                                                      std::vector<Instance> instances,
                                                      Limits limits) {
  std::vector<EncodedChunk> chunks;
  RETURN_IF_ERROR(EncodeTrace(
      std::move(info), std::move(instances),
      [&](EncodedChunk chunk) {
        chunks.push_back(std::move(chunk));
        return absl::OkStatus();
      },
      limits));
  return chunks;
}

}  // namespace sextant::chunk
