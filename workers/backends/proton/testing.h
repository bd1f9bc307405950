// Recordings, and buffers made by hand, for tests and as seeds for fuzzing.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace sextant::backends::proton::testing {

// A file of tests/recordings/proton, decompressed. Tests run in the root of the tree.
inline std::string Recording(const std::string& name) {
  std::ifstream file("tests/recordings/proton/" + name + ".zst", std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(file)), {});
  const auto size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size > (1u << 28)) throw std::runtime_error("no recording " + name);
  std::string bytes(size, 0);
  if (ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size()) != size) {
    throw std::runtime_error("damaged recording " + name);
  }
  return bytes;
}

struct Record {
  uint64_t clock;
  uint32_t scope;
  bool end;
};

inline Record Begin(uint32_t scope, uint64_t clock) { return {clock, scope, false}; }
inline Record End(uint32_t scope, uint64_t clock) { return {clock, scope, true}; }

// One CTA: what each of its warps wrote, in order; the buffer keeps the last `capacity` of each.
struct Block {
  std::vector<std::vector<Record>> warps;
  uint32_t cta = 0;
  uint32_t sm = 0;
  uint64_t start_ns = 1'000'000;
  uint64_t end_ns = 1'010'000;
  bool written = true;
};

// A raw buffer as Proton's kernels and host buffer would leave it. `recording`: ids of the warps that
// record, of `units`.
inline std::vector<uint8_t> RawFile(const std::vector<Block>& blocks, uint32_t units,
                                    uint32_t capacity, std::vector<uint32_t> recording = {}) {
  if (recording.empty()) {
    for (uint32_t i = 0; i < units; ++i) recording.push_back(i);
  }
  const uint32_t data_bytes = capacity * 8 * static_cast<uint32_t>(recording.size());
  const uint32_t block_bytes = 40 + 4 * units + data_bytes;
  const auto header_bytes = static_cast<uint32_t>(40 + 4 * recording.size());
  std::vector<uint8_t> file;
  auto put = [&file](auto value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    file.insert(file.end(), bytes, bytes + sizeof(value));
  };
  for (const uint32_t word :
       {1u, 4u, header_bytes, header_bytes, static_cast<uint32_t>(blocks.size()) * block_bytes, 1u,
        static_cast<uint32_t>(blocks.size()), units, block_bytes,
        static_cast<uint32_t>(recording.size())}) {
    put(word);
  }
  for (const uint32_t unit : recording) put(unit);
  for (const Block& block : blocks) {
    put(block.written ? 0xdeadbeefu : 0u);
    put(block.cta);
    put(block.sm);
    put(data_bytes);
    put(block.start_ns);
    put(block.end_ns);
    put(block.end_ns + 32);
    std::vector<uint32_t> words(units);
    for (size_t i = 0; i < recording.size() && i < block.warps.size(); ++i) {
      words[recording[i]] = static_cast<uint32_t>(block.warps[i].size() * 2);
    }
    for (const uint32_t count : words) put(count);
    std::vector<uint32_t> data(data_bytes / 4);
    for (size_t i = 0; i < recording.size() && i < block.warps.size(); ++i) {
      for (size_t n = 0; n < block.warps[i].size(); ++n) {
        const Record& record = block.warps[i][n];
        uint32_t* at = &data[(i * capacity + n % capacity) * 2];
        at[0] = (record.end ? 1u << 31 : 0u) | record.scope << 23 |
                static_cast<uint32_t>(record.clock >> 32 & 0x7ff);
        at[1] = static_cast<uint32_t>(record.clock);
      }
    }
    for (const uint32_t word : data) put(word);
  }
  return file;
}

}  // namespace sextant::backends::proton::testing
