// What the injection library leaves, under any bytes: the reader, the importer of `activity`, and
// cubins. The input: a byte that chooses, then
//   0  a whole results file
//   1  frames that check: type (1 byte), length (2 bytes), payload; given to the importer of one
//   or,
//      after a frame of type 255, two processes
//   2  a cubin
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "proto/table/table.h"
#include "workers/backends/activity/importer.h"
#include "workers/backends/injected/reader.h"
#include "workers/inject/cubin.h"

namespace {

using namespace sextant;  // a fuzz target

void Check(bool holds) {
  if (!holds) abort();
}

std::string FileOf(std::string_view frames) {
  inject::FileHeader header = {};
  std::memcpy(header.magic, inject::kFileMagic, sizeof(header.magic));
  header.version = inject::kFormatVersion;
  header.state = inject::kStarted;
  std::string file(inject::kHeaderBytes, '\0');
  std::memcpy(file.data(), &header, sizeof(header));
  while (frames.size() >= 3) {
    const uint32_t type = static_cast<uint8_t>(frames[0]);
    const size_t wanted =
        static_cast<uint8_t>(frames[1]) | static_cast<size_t>(static_cast<uint8_t>(frames[2])) << 8;
    frames.remove_prefix(3);
    const std::string_view payload = frames.substr(0, wanted);
    frames.remove_prefix(payload.size());
    const inject::FrameHeader frame = {
        .length = static_cast<uint32_t>(payload.size()),
        .type = type,
        .check = inject::CheckEnd(
            inject::CheckMore(inject::CheckBegin(type), payload.data(), payload.size()))};
    file.append(reinterpret_cast<const char*>(&frame), sizeof(frame));
    file.append(payload);
    file.append((8 - payload.size() % 8) % 8, '\0');
  }
  return file;
}

void Import(std::string_view bytes) {
  backends::activity::Importer importer("", 1000);
  for (int process = 0; process < 2; ++process) {
    const auto read = backends::injected::ReadBytesUntrusted(
        process == 0 ? FileOf(bytes) : FileOf(bytes.substr(bytes.size() / 2)),
        [&](const backends::injected::Process& from, uint32_t type, std::string_view payload) {
          importer.Take(from, type, payload);
        });
    Check(read.ok());
    importer.EndProcess(*read);
  }
  const backends::activity::Imported imported = importer.Finish();
  for (const chunk::Instance& instance : imported.instances) {
    Check(instance.track < imported.trace.tracks.size());
    Check(instance.region < imported.trace.regions.size());
    Check(instance.start < chunk::kMaxTime && instance.duration < chunk::kMaxTime);
  }
  for (const chunk::Track& track : imported.trace.tracks) {
    Check(track.role < imported.trace.roles.size());
  }
  for (const v1::DataTable& table : imported.tables) Check(table::Check(table).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: {
      const auto read = backends::injected::ReadBytesUntrusted(
          rest, [](const backends::injected::Process&, uint32_t, std::string_view) {});
      (void)read;
      return 0;
    }
    case 1:
      Import(rest);
      return 0;
    default: {
      inject::Cubin cubin;
      std::string why;
      if (!inject::ParseCubinUntrusted(rest, &cubin, &why)) return 0;
      for (const inject::CubinKernel& kernel : cubin.kernels) {
        Check(kernel.code.data() >= rest.data() &&
              kernel.code.data() + kernel.code.size() <= rest.data() + rest.size());
      }
      return 0;
    }
  }
}
