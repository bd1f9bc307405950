#include "workers/inject/modules.h"

#include <cstring>

#include "workers/inject/cubin.h"
#include "workers/inject/record_file.h"

namespace sextant::inject {
namespace {

// Larger programs keep the digests of their first modules; launches of others have none.
constexpr size_t kMaxFunctions = 1u << 20;

// The module that the API call under way on this thread loaded.
thread_local uint32_t loaded_here = 0;

constexpr CUpti_CallbackId kDriverCalls[] = {
    CUPTI_DRIVER_TRACE_CBID_cuModuleLoad, CUPTI_DRIVER_TRACE_CBID_cuModuleLoadData,
    CUPTI_DRIVER_TRACE_CBID_cuModuleLoadDataEx, CUPTI_DRIVER_TRACE_CBID_cuModuleLoadFatBinary,
    CUPTI_DRIVER_TRACE_CBID_cuModuleGetFunction};

// Where a call that loads a module puts its handle.
CUmodule* ResultOf(CUpti_CallbackId id, const void* params) {
  switch (id) {
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoad:
      return static_cast<const cuModuleLoad_params*>(params)->module;
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoadData:
      return static_cast<const cuModuleLoadData_params*>(params)->module;
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoadDataEx:
      return static_cast<const cuModuleLoadDataEx_params*>(params)->module;
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoadFatBinary:
      return static_cast<const cuModuleLoadFatBinary_params*>(params)->module;
    default:
      return nullptr;
  }
}

}  // namespace

bool Modules::Enable(CUpti_SubscriberHandle subscriber) {
  if (cupti_.cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_RESOURCE,
                                 CUPTI_CBID_RESOURCE_MODULE_LOADED) != CUPTI_SUCCESS) {
    return false;
  }
  for (const CUpti_CallbackId id : kDriverCalls) {
    cupti_.cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API, id);
  }
  return true;
}

bool Modules::OnCallback(CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data,
                         LoadedModule* loaded) {
  if (domain == CUPTI_CB_DOMAIN_RESOURCE && id == CUPTI_CBID_RESOURCE_MODULE_LOADED) {
    return Load(*static_cast<const CUpti_ResourceData*>(data), loaded);
  }
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API) return false;
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite == CUPTI_API_EXIT) OnDriverExit(id, call);
  return false;
}

bool Modules::Load(const CUpti_ResourceData& resource, LoadedModule* loaded) {
  const auto* const module =
      static_cast<const CUpti_ModuleResourceData*>(resource.resourceDescriptor);
  if (module == nullptr || module->pCubin == nullptr) return false;
  loaded->cubin = {module->pCubin, module->cubinSize};
  Cubin cubin;
  std::string why;
  if (!ParseCubinUntrusted(loaded->cubin, &cubin, &why)) return false;
  loaded_here = module->moduleId;
  loaded->record = {};
  loaded->record.loaded_monotonic_ns = MonotonicNs();
  loaded->record.module = module->moduleId;
  cupti_.cuptiGetContextId(resource.context, &loaded->record.context);
  loaded->record.cubin_bytes = module->cubinSize;
  const Sha256Digest whole = Sha256(module->pCubin, module->cubinSize);
  memcpy(loaded->record.cubin_digest, whole.data(), whole.size());
  for (const CubinKernel& kernel : cubin.kernels) {
    LoadedModule::Kernel& of = loaded->kernels.emplace_back();
    of.name = kernel.name;
    of.record = {};
    of.record.module = module->moduleId;
    of.record.symbol = kernel.symbol;
    of.record.code_bytes = static_cast<uint32_t>(kernel.code.size());
    of.record.registers = kernel.registers;
    of.record.frame_bytes = kernel.frame_bytes;
    of.record.shared_bytes = kernel.shared_bytes;
    of.record.max_threads = kernel.max_threads;
    const Sha256Digest digest = kernel.SassDigest();
    memcpy(of.record.sass_digest, digest.data(), digest.size());
  }
  const Locked locked(lock_);
  for (const LoadedModule::Kernel& kernel : loaded->kernels) {
    if (codes_.size() >= kMaxFunctions) break;
    Sha256Digest digest;
    memcpy(digest.data(), kernel.record.sass_digest, digest.size());
    const auto [known, added] = codes_.emplace(kernel.name, digest);
    if (!added && known->second != digest) ambiguous_.store(true, std::memory_order_release);
    functions_[module->moduleId].emplace(kernel.name, kernel.record);
  }
  return true;
}

void Modules::OnDriverExit(CUpti_CallbackId id, const CUpti_CallbackData& call) {
  const auto* const result = static_cast<const CUresult*>(call.functionReturnValue);
  if (result == nullptr || *result != CUDA_SUCCESS || call.functionParams == nullptr) return;
  if (CUmodule* const module = ResultOf(id, call.functionParams)) {
    if (loaded_here == 0) return;
    const Locked locked(lock_);
    modules_[*module] = loaded_here;
    loaded_here = 0;
    return;
  }
  if (id != CUPTI_DRIVER_TRACE_CBID_cuModuleGetFunction) return;
  const auto& params = *static_cast<const cuModuleGetFunction_params*>(call.functionParams);
  const Locked locked(lock_);
  const auto module = modules_.find(params.hmod);
  if (module == modules_.end()) return;
  const auto& functions = functions_[module->second];
  const auto function = functions.find(params.name);
  if (function != functions.end()) handles_[*params.hfunc] = function->second;
}

bool Modules::FunctionOf(CUfunction function, FunctionRecord* record) const {
  const Locked locked(lock_);
  const auto found = handles_.find(function);
  if (found == handles_.end()) return false;
  *record = found->second;
  return true;
}

}  // namespace sextant::inject
