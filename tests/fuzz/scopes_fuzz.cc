// The scopes importer under any bytes. The input is a list of files, each: length (2 bytes) and bytes
// of its header, of its names, of its slots, and of its records; the first three are filled up with
// zeros to where the next begins.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "client/include/sextant/detail/scopes_format.h"
#include "workers/backends/scopes/importer.h"

namespace {

using sextant::backends::scopes::Imported;
using sextant::backends::scopes::KnownLaunch;
using sextant::backends::scopes::ScopesImporter;

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

void Put(const std::vector<uint8_t>& piece, size_t at, size_t end, std::vector<uint8_t>* file) {
  file->resize(std::max(file->size(), end));
  std::copy_n(piece.begin(), std::min(piece.size(), end - at), file->begin() + static_cast<long>(at));
}

// What the encoder and the analyses rely on.
void CheckImported(const Imported& imported) {
  for (const auto& instance : imported.instances) {
    Check(instance.track < imported.trace.tracks.size());
    Check(instance.region < imported.trace.regions.size());
    Check(instance.start < sextant::chunk::kMaxTime &&
          instance.duration < sextant::chunk::kMaxTime);
  }
  for (const auto& track : imported.trace.tracks) {
    Check(track.role < imported.trace.roles.size());
    Check(track.origin_ns < sextant::chunk::kMaxTime);
  }
  Check(imported.trace.ns_per_unit > 0 &&
        imported.trace.ns_per_unit <= sextant::chunk::kMaxNsPerUnit);
  for (const auto& table : imported.tables) Check(sextant::table::Check(table).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint8_t choice = input.Byte();
  std::vector<KnownLaunch> known;
  for (uint8_t i = 0; i < choice / 2 % 4; ++i) {
    known.push_back({.launch = i * 2u, .kernel = "void gemm(float *)", .start_ns = i * 1000u});
  }
  ScopesImporter importer(choice % 2 == 0 ? 0 : 1'000'000, known,
                          {.max_files = 4,
                           .max_tracks = 64,
                           .max_regions = 8,
                           .max_instances = 1000,
                           .max_barrier_rows = 100,
                           .max_open_rows = 20,
                           .max_notes = 8});
  while (!input.empty()) {
    std::vector<uint8_t> file;
    Put(input.Piece(), 0, SEXTANT_SCOPES_NAMES_AT, &file);
    Put(input.Piece(), SEXTANT_SCOPES_NAMES_AT, SEXTANT_SCOPES_SLOTS_AT, &file);
    const std::vector<uint8_t> slots = input.Piece();
    const std::vector<uint8_t> records = input.Piece();
    file.insert(file.end(), slots.begin(), slots.end());
    file.insert(file.end(), records.begin(), records.end());
    // What is refused must leave the importer usable.
    (void)importer.Add(file);
  }
  CheckImported(importer.Finish());
  return 0;
}
