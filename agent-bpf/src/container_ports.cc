// SPDX-License-Identifier: Apache-2.0
#include "container_ports.h"

#include <netinet/in.h>

#include <nlohmann/json.hpp>
#include <optional>

namespace cellwall {
namespace {

using nlohmann::json;

// Kubernetes allows names of 15 characters; whoever writes more of either into an annotation means harm.
constexpr size_t kMostText = 64 << 10;
constexpr size_t kMostPorts = 256;

std::optional<uint32_t> protocol_of(const json& entry) {
  const auto found = entry.find("protocol");
  if (found == entry.end() || *found == "TCP" || *found == "") return IPPROTO_TCP;
  if (*found == "UDP") return IPPROTO_UDP;
  if (*found == "SCTP") return IPPROTO_SCTP;
  return std::nullopt;
}

std::optional<RuntimePort> port_of(const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto name = entry.find("name"), number = entry.find("containerPort");
  if (name == entry.end() || !name->is_string() || name->get_ref<const std::string&>().empty())
    return std::nullopt;
  if (number == entry.end() || !number->is_number_unsigned()) return std::nullopt;
  const uint64_t port = number->get<uint64_t>();
  const auto protocol = protocol_of(entry);
  if (!protocol || port == 0 || port > 65535) return std::nullopt;
  return RuntimePort{name->get<std::string>(), *protocol, static_cast<uint32_t>(port)};
}

}  // namespace

std::vector<RuntimePort> parse_container_ports(const std::string& text) {
  std::vector<RuntimePort> ports;
  if (text.size() > kMostText) return ports;
  const json list = json::parse(text, nullptr, false);
  if (!list.is_array()) return ports;
  for (const json& entry : list) {
    auto port = port_of(entry);
    if (port && ports.size() < kMostPorts) ports.push_back(std::move(*port));
  }
  return ports;
}

}  // namespace cellwall
