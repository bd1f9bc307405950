// Writes recordings of several kinds into the folder argv[1], as scopes_fuzz reads them.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "workers/backends/scopes/testing/files.h"

namespace {

using namespace sextant::backends::scopes::testing;  // NOLINT: names of one header

void Append(const Bytes& bytes, size_t begin, size_t end, std::string* out) {
  while (end > begin && bytes[end - 1] == 0) --end;  // filled up with zeros again
  out->push_back(static_cast<char>((end - begin) & 0xff));
  out->push_back(static_cast<char>((end - begin) >> 8));
  out->append(bytes.begin() + static_cast<long>(begin), bytes.begin() + static_cast<long>(end));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: scopes_seeds FOLDER\n");
    return 2;
  }
  std::vector<TestWarp> warps = {
      {.role = "producer", .records = {Begin("load", 10), End("load", 20), Arrive("full", 1, 30)}},
      {.warp = 1,
       .role = "consumer",
       .records = {WaitBegin("full", 1, 5), WaitEnd("full", 1, 40), Begin("mma", 50),
                   Begin("load", 60), End("load", 70), End("mma", 80)}},
      {.grid = 2, .begin_clock = 0xffffff00u, .records = {Begin("load", 0xffffffa0u), End("load", 9)}},
      {.grid = 2, .end_timer = 0, .records = {Begin("load", 10), WaitBegin("empty", 3, 20)}},
      {.grid = 1, .begin_timer = 2'000'000, .end_timer = 2'010'000, .count = 40,
       .records = std::vector<Record>(16, Begin("mma", 7))}};
  int written = 0;
  for (size_t count = 0; count <= warps.size(); ++count) {
    for (const bool packed : {true, false}) {
      TestFile file;
      file.packed = packed;
      file.slots = 8;
      file.warps.assign(warps.begin(), warps.begin() + static_cast<long>(count));
      const Bytes bytes = file.Write();
      const size_t records_at =
          SEXTANT_SCOPES_SLOTS_AT + (packed ? count : 8) * sizeof(sextant_scopes_slot);
      std::string seed(1, static_cast<char>(written));
      Append(bytes, 0, SEXTANT_SCOPES_NAMES_AT, &seed);
      Append(bytes, SEXTANT_SCOPES_NAMES_AT, SEXTANT_SCOPES_SLOTS_AT, &seed);
      Append(bytes, SEXTANT_SCOPES_SLOTS_AT, records_at, &seed);
      Append(bytes, records_at, bytes.size(), &seed);
      std::ofstream(argv[1] + ("/seed" + std::to_string(written++)), std::ios::binary) << seed;
    }
  }
  return 0;
}
