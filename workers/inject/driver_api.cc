#include "workers/inject/driver_api.h"

#include <dlfcn.h>

namespace sextant::inject {
namespace {

DriverApi Load() {
  DriverApi api;
  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return api;
#define SEXTANT_DRIVER_LOAD(name) \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name));
  SEXTANT_DRIVER_ALL(SEXTANT_DRIVER_LOAD)
#undef SEXTANT_DRIVER_LOAD
  return api;
}

}  // namespace

const DriverApi& Driver() {
  static const DriverApi* const api = new DriverApi(Load());
  return *api;
}

}  // namespace sextant::inject
