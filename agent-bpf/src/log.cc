// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>

namespace cellwall {
namespace {

std::atomic<LogLevel> least = LogLevel::kInfo;

std::string now_text() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const time_t seconds = static_cast<time_t>(ms / 1000);
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text;
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  return std::string(text.data(), size) + "." + fraction + "Z";
}

}  // namespace

void set_log_level(LogLevel level) {
  least = level;
}

void log(LogLevel level, const std::string& message, LogFields fields) {
  static constexpr std::array kNames = {"debug", "info", "warn", "error"};
  if (level < least) return;
  nlohmann::ordered_json line = {
      {"time", now_text()}, {"level", kNames[static_cast<size_t>(level)]}, {"msg", message}};
  for (const auto& [name, value] : fields) std::visit([&](const auto& v) { line[name] = v; }, value);
  // Names of containers can be any bytes.
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  (void)!write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace cellwall
