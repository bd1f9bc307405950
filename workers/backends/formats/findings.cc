#include "workers/backends/formats/findings.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace sextant::backends::formats {

FindingsTable::FindingsTable()
    : table_("findings"),
      tool_(table_.Text("tool")),
      kind_(table_.Text("kind")),
      severity_(table_.Text("severity")),
      message_(table_.Text("message")),
      kernel_(table_.Text("kernel")),
      launch_(table_.Int("launch")),
      file_(table_.Text("file")),
      line_(table_.Int("line")),
      function_(table_.Text("function")),
      address_(table_.Text("address")),
      size_bytes_(table_.Int("size_bytes", "bytes")) {
  const char* axes[3] = {"x", "y", "z"};
  for (int i = 0; i < 3; ++i) thread_[i] = table_.Int(absl::StrCat("thread_", axes[i]));
  for (int i = 0; i < 3; ++i) block_[i] = table_.Int(absl::StrCat("block_", axes[i]));
  count_ = table_.Int("count");
}

void FindingsTable::Add(const Finding& finding) {
  table_.Set(tool_, finding.tool);
  table_.Set(kind_, finding.kind);
  table_.Set(severity_, finding.severity);
  table_.Set(message_, finding.message);
  table_.Set(kernel_, finding.kernel);
  table_.Set(launch_, finding.launch);
  table_.Set(file_, finding.file);
  table_.Set(line_, finding.line);
  table_.Set(function_, finding.function);
  if (finding.address != 0) table_.Set(address_, absl::StrCat("0x", absl::Hex(finding.address)));
  table_.Set(size_bytes_, static_cast<int64_t>(std::min<uint64_t>(
                              finding.size_bytes, std::numeric_limits<int64_t>::max())));
  for (int i = 0; i < 3; ++i) {
    table_.Set(thread_[i], finding.thread[i]);
    table_.Set(block_[i], finding.block[i]);
  }
  table_.Set(count_, finding.count);
  table_.EndRow();
}

}  // namespace sextant::backends::formats
