// SPDX-License-Identifier: Apache-2.0
//
// One JSON object per line on stderr. Only the main loop and the stream loop log.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

namespace cellwall {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogValue = std::variant<std::string, int64_t, uint64_t, bool>;
using LogFields = std::initializer_list<std::pair<const char*, LogValue>>;

void set_log_level(LogLevel level);
void log(LogLevel level, const std::string& message, LogFields fields = {});

}  // namespace cellwall
