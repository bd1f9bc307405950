// What lies beside the worker, in a bundle, an installation and a build tree alike: its prefix holds
// bin/sextant-worker (or workers/sextant-worker), bin/bwrap and lib/sextant.
#pragma once

#include <filesystem>

namespace sextant {

struct Installation {
  std::filesystem::path bwrap;      // empty: none is carried, PATH has one
  std::filesystem::path libraries;  // what passes see as /sextant/lib; empty: nothing is carried
};

// `program` is the worker's own, without symbolic links.
Installation FindInstallation(const std::filesystem::path& program);

}  // namespace sextant
