#include "server/job/keys.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::job {
namespace {

// Every value is written with its length, so that no two lists of values look the same.
std::string Framed(absl::string_view value) { return absl::StrCat(value.size(), ":", value, ";"); }

std::string FilesText(const v1::Workload& workload) {
  std::map<std::string, std::string> files;  // by path: the order given does not matter
  for (const auto& file : workload.files())
    files[file.path()] = absl::StrCat(absl::BytesToHexString(file.digest()), " ",
                                      absl::Hex(file.mode() == 0 ? 0644 : file.mode()));
  std::string text;
  for (const auto& [path, value] : files) absl::StrAppend(&text, Framed(path), Framed(value));
  return absl::BytesToHexString(Sha256(text));
}

template <typename Map>
std::string MapText(const Map& map) {
  std::map<std::string, std::string> sorted(map.begin(), map.end());
  return absl::StrJoin(sorted, " ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, "=", entry.second);
  });
}

std::string LimitsText(const v1::ResourceLimits& limits) {
  return absl::StrCat("memory_bytes=", limits.memory_bytes(), " cpu_cores=", limits.cpu_cores(),
                      " pids=", limits.pids(), " file_bytes=", limits.file_bytes(),
                      " disk_bytes=", limits.disk_bytes(), " output_bytes=", limits.output_bytes(),
                      " open_files=", limits.open_files());
}

}  // namespace

std::string Sha256(absl::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return std::string(reinterpret_cast<char*>(digest), sizeof(digest));
}

CacheKey MakeCacheKey(const KeyInputs& inputs) {
  CacheKey key;
  auto add = [&key](const char* name, std::string value) {
    auto& component = key.components.emplace_back();
    component.set_name(name);
    component.set_value(std::move(value));
  };
  const auto& workload = inputs.workload;
  add("kind", std::string(inputs.kind));
  add("files", FilesText(workload));
  add("argv", absl::StrJoin(workload.argv(), " ", [](std::string* out, const std::string& arg) {
        absl::StrAppend(out, absl::CEscape(arg));
      }));
  // The readable argv above is ambiguous about spaces; this one is not.
  std::string framed;
  for (const auto& arg : workload.argv()) framed += Framed(arg);
  for (const auto& [name, value] : std::map<std::string, std::string>(workload.env().begin(),
                                                                      workload.env().end()))
    absl::StrAppend(&framed, Framed(name), Framed(value));
  for (const auto& [name, value] : std::map<std::string, std::string>(
           inputs.spec.options().begin(), inputs.spec.options().end()))
    absl::StrAppend(&framed, Framed(name), Framed(value));
  add("env", MapText(workload.env()));
  add("stdin", workload.stdin_text().empty()
                   ? ""
                   : absl::BytesToHexString(Sha256(workload.stdin_text())));
  add("limits", LimitsText(workload.limits()));
  add("rootfs", workload.rootfs());
  add("kernels", workload.kernels());
  add("backend", inputs.spec.backend());
  add("options", MapText(inputs.spec.options()));
  add("tool", std::string(inputs.tool_digest));
  add("machine", std::string(inputs.machine_class));
  add("salt", std::string(inputs.salt));
  std::string outputs;
  if (inputs.outputs != nullptr) {
    for (const auto& output : *inputs.outputs)
      absl::StrAppend(&outputs, Framed(output.name()), Framed(output.path()));
  }
  add("outputs", outputs);
  if (inputs.tenant != kDefaultTenant) add("tenant", std::string(inputs.tenant));

  std::string all = Framed(framed);
  for (const auto& component : key.components)
    absl::StrAppend(&all, Framed(component.name()), Framed(component.value()));
  key.digest = Sha256(all);
  key.subject = KeySubject(inputs.tenant, workload.argv().empty() ? "" : workload.argv(0), inputs.spec.backend(),
                           inputs.kind);
  return key;
}

std::string KeySubject(absl::string_view tenant, absl::string_view program, absl::string_view backend,
                       absl::string_view kind) {
  // A program may be called anything, but not pass for another tenant's.
  const bool plain = tenant == kDefaultTenant && !absl::StartsWith(program, "\x1f");
  return absl::StrCat(plain ? "" : absl::StrCat("\x1f", tenant, "\x1f"), program, " ", backend, " ", kind);
}

}  // namespace sextant::job
