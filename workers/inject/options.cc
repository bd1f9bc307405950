#include "workers/inject/options.h"

#include <cstdlib>

namespace sextant::inject {
namespace {

std::string_view Variable(const char* name) {
  const char* const value = getenv(name);
  return value != nullptr ? value : "";
}

// The text before the next separator, which is taken off `rest`.
std::string_view Next(std::string_view* rest, char separator) {
  const size_t end = rest->find(separator);
  const std::string_view part = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return part;
}

}  // namespace

Options Options::FromEnvironment() {
  Options options;
  std::string_view names = Variable("SEXTANT_INJECT");
  while (!names.empty()) {
    const std::string_view name = Next(&names, ',');
    if (!name.empty()) options.instruments_.emplace_back(name);
  }
  std::string_view values = Variable("SEXTANT_INJECT_OPTIONS");
  while (!values.empty()) {
    std::string_view value = Next(&values, ';');
    const std::string_view key = Next(&value, '=');
    if (!key.empty()) options.values_.emplace_back(key, value);
  }
  options.results_ = Variable("SEXTANT_RESULTS");
  options.kernels_ = Variable("SEXTANT_KERNELS");
  options.cupti_ = Variable("SEXTANT_CUPTI");
  return options;
}

std::string_view Options::Text(std::string_view name, std::string_view absent) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return value;
  }
  return absent;
}

uint64_t Options::Number(std::string_view name, uint64_t absent) const {
  const std::string text(Text(name));
  if (text.empty()) return absent;
  char* end = nullptr;
  const unsigned long long value = strtoull(text.c_str(), &end, 10);
  return *end == 0 ? value : absent;
}

}  // namespace sextant::inject
