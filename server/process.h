// What a process does for itself before it builds the rooms.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace sextant {

// What this program is installed under: "/opt/sextant" for /opt/sextant/bin/sextantd.
std::string OwnPrefix();

// Makes the directory and locks it: another sextantd there is refused with FAILED_PRECONDITION. The
// lock goes with the process.
absl::Status LockState(const std::string& directory);

// Tells the coordinators of one database apart: "HOST-123456" of this machine's name and the state directory.
std::string InstanceName(const std::string& state);

// The default logger, also of gRPC: one line an event, key=value. Standard error when `file` is empty.
void SetUpLog(const std::string& level, const std::string& file);

}  // namespace sextant
