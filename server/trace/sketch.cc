#include "server/trace/sketch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sextant::trace {
namespace {

// An octave [2^e, 2^(e+1)) is cut by its leading bits into kSlots slots. A bin is 2 % wide and a
// slot at most 0.1 %, so a slot holds one boundary between bins at most.
constexpr int kSlotBits = 10;
constexpr uint32_t kSlots = 1 << kSlotBits;

struct Slot {
  uint64_t boundary;   // mantissas (leading one at bit 63) above it are one bin further
  uint32_t bin;
};

std::array<Slot, kSlots> MakeSlots() {
  std::array<Slot, kSlots> slots;
  for (uint32_t s = 0; s < kSlots; ++s) slots[s] = {std::numeric_limits<uint64_t>::max(), 0};
  for (uint32_t k = 1; k < kBinsPerOctave; ++k) {
    const uint64_t boundary =
        static_cast<uint64_t>(std::ldexp(std::exp2(static_cast<double>(k) / kBinsPerOctave), 63));
    const uint32_t slot = boundary >> (63 - kSlotBits) & (kSlots - 1);
    slots[slot].boundary = boundary - 1;
    for (uint32_t s = slot + 1; s < kSlots; ++s) slots[s].bin = k;
  }
  return slots;
}

const std::array<Slot, kSlots> kSlotTable = MakeSlots();

std::array<double, kBins> MakeValues() {
  std::array<double, kBins> values{};
  for (uint32_t bin = 1; bin < kBins; ++bin) {
    const double low = std::exp2(static_cast<double>(bin - 1) / kBinsPerOctave);
    const double high = std::exp2(static_cast<double>(bin) / kBinsPerOctave);
    const double whole = std::ceil(low - 1e-9);
    // The harmonic mean is as far, relatively, from the one end as from the other.
    values[bin] = whole < high - 1e-9 && whole + 1 >= high ? whole : 2 * low * high / (low + high);
  }
  return values;
}

const std::array<double, kBins> kValues = MakeValues();

}  // namespace

uint32_t BinOf(uint64_t value) {
  if (value == 0) return 0;
  const int zeros = std::countl_zero(value);
  const uint64_t mantissa = value << zeros;
  const Slot& slot = kSlotTable[mantissa >> (63 - kSlotBits) & (kSlots - 1)];
  return 1 + static_cast<uint32_t>(63 - zeros) * kBinsPerOctave + slot.bin +
         (mantissa > slot.boundary ? 1 : 0);
}

double BinValue(uint32_t bin) { return kValues[std::min(bin, kBins - 1)]; }

size_t Sketch::Cover(uint32_t first, uint32_t last) {
  const size_t before = counts_.size();
  if (counts_.empty()) {
    lowest_ = first;
    counts_.resize(last - first + 1);
    return counts_.size();
  }
  if (first < lowest_) {
    counts_.insert(counts_.begin(), lowest_ - first, 0);
    lowest_ = first;
  }
  if (last >= lowest_ + counts_.size()) counts_.resize(last - lowest_ + 1);
  return counts_.size() - before;
}

size_t Sketch::GrowAndAdd(uint32_t bin, uint64_t n) {
  // Neighbours tend to follow.
  const size_t added = Cover(bin - std::min<uint32_t>(bin, 3), std::min(bin + 3, kBins - 1));
  counts_[bin - lowest_] += n;
  return added;
}

size_t Sketch::Merge(const Sketch& other) {
  if (other.counts_.empty()) return 0;
  const size_t added =
      Cover(other.lowest_, other.lowest_ + static_cast<uint32_t>(other.counts_.size()) - 1);
  uint64_t* const to = counts_.data() + (other.lowest_ - lowest_);
  for (size_t i = 0; i < other.counts_.size(); ++i) to[i] += other.counts_[i];
  return added;
}

uint64_t Sketch::count() const {
  uint64_t sum = 0;
  for (uint64_t n : counts_) sum += n;
  return sum;
}

void Sketch::Quantiles(absl::Span<const double> quantiles, double* out) const {
  const uint64_t n = count();
  if (n == 0) {
    std::fill(out, out + quantiles.size(), std::numeric_limits<double>::quiet_NaN());
    return;
  }
  size_t i = 0;
  uint64_t through = counts_[0];  // values in bins up to and with bin i
  for (size_t q = 0; q < quantiles.size(); ++q) {
    const double at = std::clamp(quantiles[q], 0.0, 1.0) * static_cast<double>(n - 1);
    const uint64_t rank = std::min(n - 1, static_cast<uint64_t>(at));
    while (through <= rank) through += counts_[++i];
    out[q] = BinValue(lowest_ + static_cast<uint32_t>(i));
  }
}

}  // namespace sextant::trace
