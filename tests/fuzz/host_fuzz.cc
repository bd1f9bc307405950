// The host importer under any bytes. The input is a list of files, each: kind (1 byte: 0 process,
// 1 thread, 2 counters), length (2 bytes) and bytes of its header, which is filled up with zeros to
// its full size, length (2 bytes) and bytes of what follows it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "client/include/sextant/detail/format.h"
#include "workers/backends/host/importer.h"

namespace {

using sextant::backends::host::HostImporter;
using sextant::backends::host::Imported;

void Check(bool holds) {
  if (!holds) abort();
}

// Takes pieces off the front of the input; what is missing is empty.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::vector<uint8_t> Piece() {
    const size_t low = Byte();
    const size_t length = std::min<size_t>(low | size_t{Byte()} << 8, size_);
    std::vector<uint8_t> piece(data_, data_ + length);
    data_ += length;
    size_ -= length;
    return piece;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// What the encoder and the analyses rely on.
void CheckImported(const Imported& imported) {
  for (const auto& instance : imported.instances) {
    Check(instance.track < imported.trace.tracks.size());
    Check(instance.region < imported.trace.regions.size());
    Check(instance.start < sextant::chunk::kMaxTime &&
          instance.duration < sextant::chunk::kMaxTime);
  }
  for (const auto& track : imported.trace.tracks) Check(track.role < imported.trace.roles.size());
  for (const auto& counter : imported.counters) Check(counter.value() == counter.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint8_t choice = input.Byte();
  HostImporter importer(choice % 2 == 0 ? 0 : 1'000'000,
                        {{.clock = SEXTANT_CLOCK_TSC,
                          .ticks = 10'000'000'000,
                          .ns = 4'000'000'000,
                          .ns_per_tick = 0.4}},
                        {.max_processes = 4,
                         .max_tracks = 16,
                         .max_regions = 8,
                         .max_instances = 1000,
                         .max_counters = 16,
                         .max_notes = 8});
  while (!input.empty()) {
    const uint8_t kind = input.Byte() % 3;
    std::vector<uint8_t> file = input.Piece();
    file.resize(SEXTANT_HEADER_BYTES);
    const std::vector<uint8_t> payload = input.Piece();
    file.insert(file.end(), payload.begin(), payload.end());
    // What is refused must leave the importer usable.
    if (kind == 0) (void)importer.AddProcess(file);
    if (kind == 1) (void)importer.AddThread(file);
    if (kind == 2) (void)importer.AddCounters(file);
  }
  CheckImported(importer.Finish());
  return 0;
}
