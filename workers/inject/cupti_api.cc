#include "workers/inject/cupti_api.h"

#include <dlfcn.h>

#include <string_view>
#include <vector>

namespace sextant::inject {
namespace {

// CUDA 12.0: the records we read have had the same layout since.
constexpr uint32_t kLeastVersion = 19;

std::vector<std::string> Split(const char* text) {
  std::vector<std::string> parts;
  std::string_view rest = text != nullptr ? text : "";
  while (!rest.empty()) {
    const size_t end = rest.find(':');
    if (end != 0) parts.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return parts;
}

void* Open(const char* candidates, std::string* path, std::string* why) {
  static constexpr const char* kNames[] = {"libcupti.so.13", "libcupti.so.12"};
  for (const char* name : kNames) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_NOLOAD)) return library;
  }
  *why = "tried:";
  std::vector<std::string> paths = Split(candidates);
  paths.insert(paths.end(), std::begin(kNames), std::end(kNames));
  for (const std::string& candidate : paths) {
    if (void* library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* const error = dlerror();
    *why += " " + candidate + " (" + (error != nullptr ? error : "") + ")";
  }
  return nullptr;
}

}  // namespace

bool LoadCupti(const char* candidates, CuptiApi* api, std::string* why) {
  api->library = Open(candidates, &api->path, why);
  if (api->library == nullptr) {
    *why = "CUPTI was not found: " + *why;
    return false;
  }
#define SEXTANT_CUPTI_LOAD(name) \
  api->name = reinterpret_cast<decltype(api->name)>(dlsym(api->library, #name));
  SEXTANT_CUPTI_ALL(SEXTANT_CUPTI_LOAD)
#undef SEXTANT_CUPTI_LOAD
  Dl_info about = {};
  if (api->cuptiGetVersion != nullptr &&
      dladdr(reinterpret_cast<void*>(api->cuptiGetVersion), &about) != 0) {
    api->path = about.dli_fname;
  }
#define SEXTANT_CUPTI_CHECK(name)                       \
  if (api->name == nullptr) {                           \
    *why = "CUPTI at " + api->path + " has no " #name;  \
    return false;                                       \
  }
  SEXTANT_CUPTI_REQUIRED(SEXTANT_CUPTI_CHECK)
#undef SEXTANT_CUPTI_CHECK
  if (api->cuptiGetVersion(&api->version) != CUPTI_SUCCESS || api->version < kLeastVersion) {
    *why = "CUPTI at " + api->path + " has API version " + std::to_string(api->version) +
           ", at least " + std::to_string(kLeastVersion) + " (CUDA 12.0) is needed";
    return false;
  }
  return true;
}

const char* ResultText(const CuptiApi& api, CUptiResult result) {
  const char* text = nullptr;
  if (api.cuptiGetResultString(result, &text) != CUPTI_SUCCESS || text == nullptr) {
    return "an unknown CUPTI error";
  }
  return text;
}

}  // namespace sextant::inject
