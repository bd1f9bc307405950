#include "server/trace/rollup_codec.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "proto/chunk/varint.h"
#include "proto/status/status.h"

namespace sextant::trace {
namespace {

constexpr std::string_view kMagic = "SXR\x01";  // the last byte is the version
constexpr double kBytesPerEvent = 0.5;
constexpr uint64_t kMaxPlainBytes = 512u << 20;
constexpr uint64_t kMaxNameBytes = 4096;
constexpr uint64_t kMaxPasses = 1 << 20;

class Writer {
 public:
  void Put(uint64_t v) {
    const size_t at = bytes_.size();
    bytes_.resize(at + chunk::kMaxVarint);
    uint8_t* const out = reinterpret_cast<uint8_t*>(bytes_.data()) + at;
    bytes_.resize(at + (chunk::PutVarint(out, v) - out));
  }
  void Put(std::string_view text) {
    Put(text.size());
    bytes_ += text;
  }
  // Runs of counts without a zero among them: how many; for each the gap before it, its length,
  // the counts.
  void Put(const Sketch& sketch) {
    const absl::Span<const uint64_t> counts = sketch.counts();
    uint64_t runs = 0;
    for (size_t i = 0; i < counts.size(); ++i) runs += counts[i] != 0 && (i == 0 || counts[i - 1] == 0);
    Put(runs);
    uint64_t from = 0;
    for (size_t i = 0; i < counts.size();) {
      size_t end = i;
      while (end < counts.size() && counts[end] != 0) ++end;
      if (end > i) {
        Put(sketch.lowest_bin() + i - from);
        Put(end - i);
        from = sketch.lowest_bin() + end;
        for (; i < end; ++i) Put(counts[i]);
      }
      i = end + 1;
    }
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void AppendFrame(std::string& out, const std::string& plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  Writer sizes;
  sizes.Put(plain.size());
  sizes.Put(packed.size());
  out += sizes.bytes();
  out += packed;
}

// Reads one frame and what is in it. Everything read after a failure is 0 or empty.
class Reader {
 public:
  static absl::StatusOr<Reader> Open(std::string_view& bytes) {
    const uint8_t* const begin = reinterpret_cast<const uint8_t*>(bytes.data());
    chunk::VarintReader sizes(begin, begin + bytes.size());
    const uint64_t plain = sizes.Next(), packed = sizes.Next();
    if (!sizes.ok() || plain > kMaxPlainBytes) return absl::DataLossError("rollup: sizes");
    bytes.remove_prefix(sizes.at() - begin);
    if (packed > bytes.size() ||
        ZSTD_getFrameContentSize(bytes.data(), packed) != plain) {
      return absl::DataLossError("rollup: a frame is cut off or lies about its size");
    }
    std::string text(plain, '\0');
    if (ZSTD_decompress(text.data(), plain, bytes.data(), packed) != plain) {
      return absl::DataLossError("rollup: a frame is damaged");
    }
    bytes.remove_prefix(packed);
    return Reader(std::move(text));
  }

  uint64_t Next(uint64_t max) {
    chunk::VarintReader in(data() + at_, data() + text_.size());
    const uint64_t v = in.Next();
    at_ = in.at() - data();
    if (!in.ok() || v > max) return Fail();
    return v;
  }
  // A count of things that take a byte each at least.
  uint64_t Count(uint64_t max) { return Next(std::min<uint64_t>(max, text_.size() - at_)); }
  std::string Text() {
    const uint64_t length = Count(kMaxNameBytes);
    at_ += length;
    return text_.substr(at_ - length, length);
  }
  Sketch ReadSketch() {
    Sketch sketch;
    const uint64_t runs = Count(kBins);
    uint64_t bin = 0;
    for (uint64_t r = 0; r < runs; ++r) {
      bin += Next(kBins);
      const uint64_t length = Count(kBins);
      if (bin + length > kBins) Fail();
      if (!ok_) return {};
      for (const uint64_t end = bin + length; bin < end; ++bin) {
        sketch.AddBin(static_cast<uint32_t>(bin), Next(UINT64_MAX));
      }
    }
    return sketch;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && at_ == text_.size(); }

 private:
  explicit Reader(std::string text) : text_(std::move(text)) {}
  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(text_.data()); }
  uint64_t Fail() {
    ok_ = false;
    at_ = text_.size();
    return 0;
  }

  std::string text_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

std::string RollupCodec::PackCells(const Rollup& r) {
  Writer w;
  for (const Series& s : r.series_) {
    w.Put(std::count_if(s.cells.begin(), s.cells.end(), [](uint32_t at) { return at != 0; }));
    uint64_t from = 0;
    for (uint32_t b = 0; b < s.cells.size(); ++b) {
      if (s.cells[b] == 0) continue;
      w.Put(b - from);
      from = b + 1;
      w.Put(r.cells_[s.cells[b] - 1]);
    }
  }
  std::string frame;
  AppendFrame(frame, w.bytes());
  return frame;
}

size_t RollupCodec::GuessBytes(const Rollup& r) {
  size_t bins = 0;
  for (const Sketch& cell : r.cells_) {
    for (uint64_t n : cell.counts()) bins += n != 0;
  }
  return r.cells_.size() + bins / 2;
}

std::string RollupCodec::Encode(Rollup& r, size_t free_bytes) {
  const size_t budget = std::max(
      free_bytes, static_cast<size_t>(static_cast<double>(r.events_) * kBytesPerEvent));
  auto widen = [&r] {
    r.Coarsen();
    r.coarse_ = true;
  };
  // A low guess is cheap and spares packing what cannot fit.
  while (r.buckets_ > 1 && GuessBytes(r) > budget) widen();
  std::string cells = PackCells(r);
  while (r.buckets_ > 1 && cells.size() > budget) {
    widen();
    cells = PackCells(r);
  }

  Writer w;
  w.Put(r.unit_);
  w.Put(std::bit_cast<uint64_t>(r.min_ns_per_unit_));
  w.Put(std::bit_cast<uint64_t>(r.max_ns_per_unit_));
  w.Put(r.kernel_);
  w.Put(r.events_);
  w.Put(r.dropped_);
  w.Put(static_cast<uint64_t>(r.shift_));
  w.Put(r.first_bucket_);
  w.Put(r.buckets_);
  w.Put(r.coarse_ ? 1 : 0);
  w.Put(r.passes_.size());
  int64_t before = 0;
  for (int64_t pass : r.passes_) {
    w.Put(chunk::ZigZag(pass, before));
    before = pass;
  }
  w.Put(r.series_.size());
  for (const Series& s : r.series_) {
    w.Put(s.role);
    w.Put(s.region);
    w.Put(s.totals.count);
    w.Put(s.totals.sum);
    w.Put(s.totals.min);
    w.Put(s.totals.max);
    w.Put(s.all);
  }
  std::string out(kMagic);
  AppendFrame(out, w.bytes());
  out += cells;
  return out;
}

absl::StatusOr<Rollup> RollupCodec::Decode(std::string_view bytes, bool with_buckets) {
  if (bytes.size() < kMagic.size() || bytes.substr(0, 3) != kMagic.substr(0, 3)) {
    return absl::DataLossError("rollup: not one");
  }
  if (bytes[3] != kMagic[3]) {
    return absl::FailedPreconditionError(
        absl::StrCat("rollup: version ", static_cast<int>(bytes[3]), ", this program reads ",
                     static_cast<int>(kMagic[3])));
  }
  bytes.remove_prefix(kMagic.size());
  ASSIGN_OR_RETURN(Reader in, Reader::Open(bytes));
  Rollup r;
  r.unit_ = static_cast<v1::TimeUnit>(in.Next(v1::TimeUnit_MAX));
  r.min_ns_per_unit_ = std::bit_cast<double>(in.Next(UINT64_MAX));
  r.max_ns_per_unit_ = std::bit_cast<double>(in.Next(UINT64_MAX));
  r.kernel_ = in.Text();
  r.events_ = in.Next(UINT64_MAX);
  r.dropped_ = in.Next(UINT64_MAX);
  r.shift_ = static_cast<int>(in.Next(62));
  r.first_bucket_ = in.Next(2 * chunk::kMaxTime >> r.shift_);
  r.buckets_ = static_cast<uint32_t>(in.Next(kMaxBuckets));
  r.coarse_ = in.Next(1) != 0;
  const uint64_t passes = in.Count(kMaxPasses);
  int64_t before = 0;
  for (uint64_t i = 0; i < passes; ++i) {
    before = static_cast<int64_t>(chunk::UnZigZag(in.Next(UINT64_MAX), before));
    r.passes_.push_back(before);
  }
  const uint64_t series = in.Count(kMaxSeries);
  for (uint64_t i = 0; i < series && in.ok(); ++i) {
    std::string role = in.Text(), region = in.Text();
    ASSIGN_OR_RETURN(const uint32_t id, r.SeriesOf(role, region));
    if (id != i) return absl::DataLossError("rollup: a pair of role and region comes twice");
    Totals& t = r.series_[i].totals;
    t = {in.Next(UINT64_MAX), in.Next(UINT64_MAX), in.Next(UINT64_MAX), in.Next(UINT64_MAX)};
    r.series_[i].all = in.ReadSketch();
    r.bins_ += r.series_[i].all.bins();
    if (r.bins_ > kMaxBins) return absl::DataLossError("rollup: too many bins");
  }
  if (!in.at_end() || !std::is_sorted(r.passes_.begin(), r.passes_.end())) {
    return absl::DataLossError("rollup: what comes before the buckets is damaged");
  }
  if (!with_buckets) return r;

  ASSIGN_OR_RETURN(Reader cells, Reader::Open(bytes));
  for (Series& s : r.series_) {
    const uint64_t n = cells.Count(r.buckets_);
    uint64_t bucket = 0;
    for (uint64_t i = 0; i < n; ++i, ++bucket) {
      bucket += cells.Next(kMaxBuckets);
      if (bucket >= r.buckets_ || !cells.ok()) return absl::DataLossError("rollup: bucket");
      Sketch& cell = r.CellOf(s, static_cast<uint32_t>(bucket));
      cell = cells.ReadSketch();
      r.bins_ += cell.bins();
      if (r.bins_ > 2 * kMaxBins) return absl::DataLossError("rollup: too many bins");
    }
  }
  if (!cells.at_end() || !bytes.empty()) return absl::DataLossError("rollup: the buckets are damaged");
  return r;
}

}  // namespace sextant::trace
