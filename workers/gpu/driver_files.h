// The driver's libraries, as a program in a container needs to find them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sextant::gpu {

struct DriverFiles {
  std::filesystem::path directory;  // that holds libcuda.so.1; empty: it was not found
  bool in_linker_cache = false;     // programs find libcuda.so.1 without being told
  // The driver's libraries there, under the names programs load them by.
  struct Library {
    std::filesystem::path file;     // links resolved
    std::string name;               // "libcuda.so.1"
  };
  std::vector<Library> libraries;
};

// Looks beside libnvidia-ml (`beside`, may be empty) and then in DriverLibraryPlaces.
DriverFiles FindDriverFiles(const std::filesystem::path& driver_root,
                            const std::filesystem::path& beside,
                            const std::filesystem::path& linker_cache = "/etc/ld.so.cache");

}  // namespace sextant::gpu
