#include "workers/inject/kernels.h"

#include <cxxabi.h>

#include <cstdlib>
#include <cstring>

namespace sextant::inject {

std::string Demangle(const char* mangled) {
  // Without the prefix a short name of C would be read as a type: "f" as float.
  if (strncmp(mangled, "_Z", 2) != 0) return mangled;
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  if (text == nullptr) return mangled;
  std::string demangled = text;
  free(text);
  return demangled;
}

bool Kernels::SetFilter(const std::string& expression, std::string* why) {
  if (expression.empty()) return true;
  const int error = regcomp(&filter_, expression.c_str(), REG_EXTENDED | REG_NOSUB);
  if (error != 0) {
    char text[256];
    regerror(error, &filter_, text, sizeof(text));
    *why = "SEXTANT_KERNELS: \"" + expression + "\": " + text;
    return false;
  }
  has_filter_ = true;
  return true;
}

bool Kernels::Matches(const std::string& demangled) const {
  // Ours, in programs with scopes (client/include/sextant/scope.cuh), and only when these record.
  if (demangled.find("sextant_read_clock") != std::string::npos) return false;
  return !has_filter_ || regexec(&filter_, demangled.c_str(), 0, nullptr, 0) == 0;
}

}  // namespace sextant::inject
