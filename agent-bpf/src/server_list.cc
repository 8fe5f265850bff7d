// SPDX-License-Identifier: Apache-2.0
#include "server_list.h"

#include <algorithm>
#include <ranges>

namespace cellwall {
namespace {

std::vector<std::string> split(const std::string& text) {
  if (text.empty()) return {""};
  std::vector<std::string> parts;
  for (const auto part : std::views::split(text, ',')) parts.emplace_back(part.begin(), part.end());
  return parts;
}

bool is_address(const std::string& server) {
  if (server.starts_with("unix:")) return true;
  const size_t colon = server.rfind(':');
  return colon != std::string::npos && colon > 0 && colon + 1 < server.size();
}

}  // namespace

Result<std::vector<ServerAddress>> parse_servers(const std::string& servers, const std::string& tls_names) {
  const auto names = split(tls_names);
  std::vector<ServerAddress> parsed;
  for (const std::string& server : split(servers)) {
    if (!is_address(server))
      return fail("--server " + server +
                  ": give HOST:PORT, such as cellwall.example:7480, or several with commas");
    parsed.push_back({server, names[std::min(parsed.size(), names.size() - 1)]});
  }
  if (names.size() > 1 && names.size() != parsed.size())
    return fail("--tls-server-name: give one name, or as many as there are servers (" +
                std::to_string(parsed.size()) + ")");
  return parsed;
}

std::chrono::milliseconds Reconnect::ended(bool welcomed, std::chrono::milliseconds lasted) {
  if (welcomed) last_good_ = server_;
  if (welcomed && lasted >= kStable) {
    failed_ = 0;
    bound_ = kFirstBound;
  }
  failed_++;
  if (failed_ < servers_) {
    server_ = (server_ + 1) % servers_;
    return std::chrono::milliseconds(0);
  }
  failed_ = 0;
  server_ = last_good_;
  std::uniform_int_distribution<int64_t> drawn(0, bound_.count());
  const std::chrono::milliseconds pause(drawn(random_));
  bound_ = std::min(bound_ * 2, kLastBound);
  return pause;
}

}  // namespace cellwall
