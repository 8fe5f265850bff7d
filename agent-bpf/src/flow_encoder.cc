// SPDX-License-Identifier: Apache-2.0
#include "flow_encoder.h"

#include <algorithm>
#include <cstring>

namespace cellwall {
namespace {

uint64_t plus_one(uint64_t bytes) {
  return bytes == CW_UNKNOWN_BYTES ? 0 : bytes + 1;
}

// 4 or 16 of them.
std::string address_bytes(const uint8_t bytes[16]) {
  const bool v4 = std::memcmp(bytes, kV4Mapped.data(), kV4Mapped.size()) == 0;
  return {reinterpret_cast<const char*>(bytes) + (v4 ? 12 : 0), v4 ? size_t{4} : size_t{16}};
}

// Protobuf strings are UTF-8; a process can name itself with any bytes.
std::string clean_text(std::string_view value) {
  std::string clean(value);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return static_cast<signed char>(c) < 32; }, '?');
  return clean;
}

std::string_view process_name(const cw_event& event) {
  return {event.comm, strnlen(event.comm, sizeof(event.comm))};
}

}  // namespace

uint32_t FlowEncoder::address(const uint8_t bytes[16]) {
  const std::string key = address_bytes(bytes);
  const auto [found, added] = addresses_.try_emplace(key, columns_->addresses_size());
  if (added) columns_->add_addresses(key);
  return found->second;
}

uint32_t FlowEncoder::cgroup(uint64_t id) {
  const auto [found, added] = cgroups_.try_emplace(id, columns_->cgroups_size());
  if (added) columns_->add_cgroups(id);
  return found->second;
}

uint32_t FlowEncoder::text(std::string_view value) {
  const std::string clean = clean_text(value);
  const auto [found, added] = strings_.try_emplace(clean, columns_->strings_size());
  if (added) columns_->add_strings(clean);
  return found->second;
}

void FlowEncoder::add_sparse(uint32_t row, const cw_event& event, const FlowDetails& details) {
  if (details.nat.translation) {
    const auto& [source, destination] = *details.nat.translation;
    auto* translations = columns_->mutable_translations();
    translations->add_row(row);
    translations->add_source_address(address(source.address.data()));
    translations->add_source_port(source.port);
    translations->add_destination_address(address(destination.address.data()));
    translations->add_destination_port(destination.port);
  }
  if (!details.name.empty()) {
    columns_->mutable_names()->add_row(row);
    columns_->mutable_names()->add_name(text(details.name));
  }
  if (details.payload.payload != v1::PAYLOAD_UNSPECIFIED) add_payload(row, details.payload);
  if (event.failure) {
    auto* failures = columns_->mutable_failures();
    failures->add_row(row);
    failures->add_failure(static_cast<v1::Failure>(event.failure));
  }
}

void FlowEncoder::add_payload(uint32_t row, const PayloadKind& kind) {
  auto* payloads = columns_->mutable_payloads();
  payloads->add_row(row);
  payloads->add_payload(kind.payload);
  payloads->add_tls_version(kind.tls_version);
  payloads->add_server_name(kind.server_name.empty() ? 0 : text(kind.server_name) + 1);
}

void FlowEncoder::add(const cw_event& event, const FlowDetails& details) {
  const uint64_t container = details.container;
  const int64_t end = clock_.wall_us(event.end_ns);
  const auto cookie = static_cast<int64_t>(event.cookie);
  const uint64_t duration =
      event.start_ns && event.end_ns > event.start_ns ? (event.end_ns - event.start_ns) / 1000 : 0;
  add_sparse(columns_->rows(), event, details);
  columns_->set_rows(columns_->rows() + 1);
  columns_->add_cgroup(cgroup(container ? container : event.socket_cgroup));
  columns_->add_end_time_delta(end - last_time_);
  columns_->add_duration_plus_one(event.start_ns ? duration + 1 : 0);
  columns_->add_protocol(event.protocol);
  columns_->add_direction(static_cast<v1::Direction>(event.direction));
  columns_->add_verdict(static_cast<v1::Verdict>(event.verdict));
  columns_->add_end(static_cast<v1::End>(event.end));
  columns_->add_local_address(address(event.local));
  columns_->add_local_port(event.local_port);
  columns_->add_remote_address(address(event.remote));
  columns_->add_remote_port(event.remote_port);
  columns_->add_sent_bytes_plus_one(plus_one(event.sent_bytes));
  columns_->add_received_bytes_plus_one(plus_one(event.received_bytes));
  columns_->add_sent_packets(event.sent_packets);
  columns_->add_received_packets(event.received_packets);
  columns_->add_rtt_us(event.rtt_us);
  columns_->add_retransmits(event.retransmits);
  columns_->add_rule(event.rule);
  columns_->add_generation(event.generation);
  columns_->add_cookie_delta(cookie - last_cookie_);
  columns_->add_process_id(event.pid);
  columns_->add_process_name(text(process_name(event)));
  columns_->add_flags(event.flags | (container ? 0 : CW_FLAG_UNNAMED) |
                      (details.nat.untracked ? CW_FLAG_UNTRACKED : 0));
  last_time_ = end;
  last_cookie_ = cookie;
}

v1::Listener encode_listener(const cw_event& socket, uint64_t container) {
  v1::Listener listener;
  listener.set_cgroup(container ? container : socket.socket_cgroup);
  listener.set_protocol(socket.protocol);
  listener.set_address(address_bytes(socket.local));
  listener.set_port(socket.local_port);
  listener.set_process_id(socket.pid);
  listener.set_process_name(clean_text(process_name(socket)));
  return listener;
}

}  // namespace cellwall
