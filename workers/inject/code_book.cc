#include "workers/inject/code_book.h"

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "workers/inject/texts.h"

namespace sextant::inject {
namespace {

constexpr uint64_t kMaxHeldBytes = 1u << 30;  // of cubins
constexpr size_t kInstructionBytes = sizeof(CodeRecord::instruction);  // from sm_70 on
constexpr size_t kMaxPending = kMaxPayloadBytes / sizeof(CodeRecord);

}  // namespace

void CodeBook::AddModule(std::string_view cubin) {
  const CuptiApi& api = session_.cupti;
  if (cubin.empty() || api.cuptiGetCubinCrc == nullptr) return;
  CUpti_GetCubinCrcParams crc = {CUpti_GetCubinCrcParamsSize};
  crc.cubin = cubin.data();
  crc.cubinSize = cubin.size();
  if (api.cuptiGetCubinCrc(&crc) != CUPTI_SUCCESS) return;
  const Locked locked(lock_);
  if (modules_.contains(crc.cubinCrc)) return;
  if (held_bytes_ + cubin.size() > kMaxHeldBytes) {
    if (!full_) {
      session_.file.Note("the program loaded more than 1 GiB of GPU code: the instructions of what "
                         "came after are not known");
    }
    full_ = true;
    return;
  }
  held_bytes_ += cubin.size();
  auto module = std::make_unique<Module>();
  module->bytes = cubin;
  std::string why;
  ParseCubinUntrusted(module->bytes, &module->cubin, &why);
  modules_[crc.cubinCrc] = std::move(module);
}

CodeBook::Function* CodeBook::Find(uint64_t cubin_crc, uint32_t symbol, const char* kernel) {
  const std::string key = std::to_string(cubin_crc) + "/" + kernel;
  const auto known = functions_.find(key);
  if (known != functions_.end()) return &known->second;
  Function function;
  const auto module = modules_.find(cubin_crc);
  if (module != modules_.end()) {
    function.module = module->second.get();
    for (const CubinKernel& candidate : function.module->cubin.kernels) {
      if (candidate.name == kernel) function.kernel = &candidate;
    }
    for (const CubinKernel& candidate : function.module->cubin.kernels) {
      if (function.kernel == nullptr && candidate.symbol == symbol) function.kernel = &candidate;
    }
    if (function.kernel != nullptr) function.digest = function.kernel->SassDigest();
  }
  return &functions_.emplace(key, std::move(function)).first->second;
}

void CodeBook::Line(const Function& function, const char* kernel, CodeRecord* record) {
  const CuptiApi& api = session_.cupti;
  if (function.module == nullptr || api.cuptiGetSassToSourceCorrelation == nullptr) return;
  CUpti_GetSassToSourceCorrelationParams source = {CUpti_GetSassToSourceCorrelationParamsSize};
  source.cubin = function.module->bytes.data();
  source.cubinSize = function.module->bytes.size();
  source.functionName = kernel;
  source.pcOffset = record->pc;
  if (api.cuptiGetSassToSourceCorrelation(&source) != CUPTI_SUCCESS) return;
  record->line = source.lineNumber;
  if (source.fileName != nullptr) record->file = session_.texts.Id(source.fileName);
  if (source.dirName != nullptr) record->directory = session_.texts.Id(source.dirName);
  free(source.fileName);
  free(source.dirName);
}

void CodeBook::Add(uint64_t cubin_crc, uint32_t symbol, const char* kernel, uint32_t pc) {
  const Locked locked(lock_);
  Function* const function = Find(cubin_crc, symbol, kernel);
  if (!function->known.insert(pc).second) return;
  CodeRecord record = {};
  record.cubin_crc = cubin_crc;
  record.pc = pc;
  record.symbol = symbol;
  record.kernel = session_.texts.Id(kernel);
  if (function->kernel != nullptr) {
    record.architecture = function->module->cubin.architecture;
    memcpy(record.sass_digest, function->digest.data(), sizeof(record.sass_digest));
    const std::string_view code = function->kernel->code;
    if (pc + kInstructionBytes <= code.size()) {
      record.bytes = kInstructionBytes;
      memcpy(record.instruction, code.data() + pc, kInstructionBytes);
    }
  }
  Line(*function, kernel, &record);
  pending_.push_back(record);
}

void CodeBook::Write() {
  const Locked locked(lock_);
  for (size_t at = 0; at < pending_.size(); at += kMaxPending) {
    const size_t count = pending_.size() - at < kMaxPending ? pending_.size() - at : kMaxPending;
    session_.file.Append(range_ + kCodeFrame, pending_.data() + at, count * sizeof(CodeRecord));
  }
  pending_.clear();
}

}  // namespace sextant::inject
