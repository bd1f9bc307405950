// Seeds for inject_fuzz: the test data of workers, files and cubins of real runs, as whole files
// and as their frames.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "workers/inject/format.h"

namespace {

std::string BytesOf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// The frames of a results file in the form that the target reads.
std::string FramesOf(const std::string& file) {
  using namespace sextant::inject;
  std::string frames;
  for (size_t at = kHeaderBytes; at + sizeof(FrameHeader) <= file.size();) {
    FrameHeader frame;
    std::memcpy(&frame, file.data() + at, sizeof(frame));
    at += sizeof(frame);
    if (frame.length < 4096) {
      frames += static_cast<char>(frame.type);
      frames += static_cast<char>(frame.length & 0xff);
      frames += static_cast<char>(frame.length >> 8);
      frames += file.substr(at, frame.length);
    }
    at += (frame.length + 7) / 8 * 8;
  }
  return frames;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::filesystem::path workers = SEXTANT_WORKERS, out = argv[1];
  int number = 0;
  const auto write = [&](char kind, const std::string& bytes) {
    std::ofstream(out / ("seed" + std::to_string(number++)), std::ios::binary) << kind << bytes;
  };
  for (const auto& entry : std::filesystem::recursive_directory_iterator(workers)) {
    const std::string bytes = BytesOf(entry.path());
    if (entry.path().extension() == ".bin" && bytes.size() < 32 * 1024) {
      write(0, bytes);
      write(1, FramesOf(bytes));
    }
    if (entry.path().extension() == ".cubin") write(2, bytes);
  }
  return number > 0 ? 0 : 1;
}
