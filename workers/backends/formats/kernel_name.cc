#include "workers/backends/formats/kernel_name.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace sextant::backends::formats {

std::string Demangle(const std::string& mangled) {
  // Nothing but mangled C++ names: the demangler also takes type codes ("i" is "int").
  if (mangled.rfind("_Z", 0) != 0 || mangled.size() > kMaxMangledBytes) return mangled;
  int status = 0;
  const std::unique_ptr<char, decltype(&free)> text(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &free);
  return text == nullptr ? mangled : std::string(text.get());
}

}  // namespace sextant::backends::formats
