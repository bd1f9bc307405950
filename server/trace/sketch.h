// A mergeable histogram of unsigned values with a bounded relative error: 35 bins an octave, so that
// any quantile is within 1 % of an observed value of that rank, whatever was merged in what order.
// Merging adds integers. After DDSketch (Masson, Rim, Lee: VLDB 2019), with the octave as the unit
// of the logarithm, which makes finding a bin a table look-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace sextant::trace {

inline constexpr double kRelativeError = 0.01;
inline constexpr uint32_t kBinsPerOctave = 35;
inline constexpr uint32_t kBins = 1 + 64 * kBinsPerOctave;  // bin 0 holds the value 0

// The bin of a value, and what a bin stands for: a value within kRelativeError of all in it; bins
// that hold a single whole number stand for it exactly.
uint32_t BinOf(uint64_t value);
double BinValue(uint32_t bin);

// A window of counts over the bins. Not thread-safe.
class Sketch {
 public:
  // Both return how many bins were added to the window: memory is 8 bytes for each.
  size_t Add(uint64_t value) { return AddBin(BinOf(value), 1); }
  size_t AddBin(uint32_t bin, uint64_t n) {
    const uint32_t i = bin - lowest_;
    if (i < counts_.size()) [[likely]] {
      counts_[i] += n;
      return 0;
    }
    return GrowAndAdd(bin, n);
  }
  size_t Merge(const Sketch& other);

  uint64_t count() const;
  size_t bins() const { return counts_.size(); }
  uint32_t lowest_bin() const { return lowest_; }
  absl::Span<const uint64_t> counts() const { return counts_; }  // from lowest_bin on

  // out[i] = the value of rank floor(quantiles[i] · (count − 1)). Quantiles ascend within [0, 1].
  // NaN when empty.
  void Quantiles(absl::Span<const double> quantiles, double* out) const;

 private:
  size_t GrowAndAdd(uint32_t bin, uint64_t n);
  size_t Cover(uint32_t first, uint32_t last);  // makes the window hold these bins

  uint32_t lowest_ = 0;
  std::vector<uint64_t> counts_;
};

}  // namespace sextant::trace
