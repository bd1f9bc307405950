// Writes recordings of several kinds into the folder argv[1], as host_fuzz reads them.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "workers/backends/host/testing/files.h"

namespace {

using namespace sextant::backends::host::testing;  // NOLINT: names of one header

void Append(const Bytes& bytes, size_t begin, size_t end, std::string* out) {
  out->push_back(static_cast<char>((end - begin) & 0xff));
  out->push_back(static_cast<char>((end - begin) >> 8));
  out->append(bytes.begin() + begin, bytes.begin() + end);
}

// `header_bytes`: what of the header is not zeros.
void AppendFile(char kind, const Bytes& file, size_t header_bytes, std::string* out) {
  out->push_back(kind);
  Append(file, 0, header_bytes, out);
  Append(file, SEXTANT_HEADER_BYTES, file.size(), out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: host_seeds FOLDER\n");
    return 2;
  }
  const std::vector<std::vector<uint64_t>> buffers = {
      {ThreadStart(0, 100), Begin(1, 2000), Begin(2, 2100), End(2, 2200), End(1, 2300),
       ThreadEnd(0, 3, 1)},
      {ThreadStart(0, 100), Begin(1, 2000), End(1, 2001), ThreadEnd(0, 3, 1), ThreadStart(1, 101),
       Begin(2, 3000), End(2, 3100), Begin(1, 3200)},
      {End(1, 5300), End(2, 5100), Begin(1, 5200), Begin(2, 5000)},
      {Begin(1, 2000), Begin(1, 2001), Begin(1, 2002), End(1, 2003), End(2, 2004)},
      {},
  };
  int written = 0;
  for (const auto& records : buffers) {
    for (uint64_t laps = 0; laps < 2; ++laps) {
      for (const uint32_t clock : {SEXTANT_CLOCK_MONOTONIC, SEXTANT_CLOCK_TSC}) {
        std::string seed(1, static_cast<char>(laps));
        Bytes process = ProcessFile({"load", "compute", "producer"});
        std::memcpy(process.data() + offsetof(sextant_process_file, clock), &clock, sizeof(clock));
        AppendFile(0, process, sizeof(sextant_process_file), &seed);
        AppendFile(1, ThreadFile(records, laps, records.empty() ? 0 : 1),
                   sizeof(sextant_thread_file), &seed);
        AppendFile(2,
                   CounterFile({{.key = 3u << 16 | 1u, .instances = 2, .sums = {10, 20}}},
                               {"cycles", "task-clock"}),
                   sizeof(sextant_counter_file), &seed);
        std::ofstream(argv[1] + ("/seed" + std::to_string(written++)), std::ios::binary) << seed;
      }
    }
  }
  return 0;
}
