// SPDX-License-Identifier: Apache-2.0
#include "describe.h"

#include "ip_address.h"

namespace cellwall {
Result<void> Describer::open_nat(const std::string& network_namespace) {
  auto namespaces = Namespaces::open(network_namespace);
  if (!namespaces) return std::unexpected(namespaces.error());
  nat_.emplace(std::move(*namespaces), [this](const cw_event& event) { return site_of(event); });
  return {};
}

uint64_t Describer::container_of(const cw_event& event) const {
  return event.container ? event.container : tree_.container_of(event.socket_cgroup);
}

NatSite Describer::site_of(const cw_event& event) const {
  const v1::Container* known = containers_.find(container_of(event));
  if (!known) return {};
  NatSite site = {.cgroup = tree_.directory(known->cgroup_path()), .addresses = {}};
  for (const std::string& text : known->addresses()) {
    if (const auto address = parse_address(text)) site.addresses.push_back(*address);
  }
  return site;
}

std::vector<FlowDetails> Describer::with_nat(std::span<const cw_event* const> events,
                                             std::vector<NatResult> results) {
  std::vector<FlowDetails> details;
  details.reserve(events.size());
  for (size_t i = 0; i < events.size(); i++) {
    FlowDetails& flow = details.emplace_back();
    flow.container = container_of(*events[i]);
    if (i < results.size()) flow.nat = std::move(results[i]);
  }
  return details;
}

std::vector<FlowDetails> Describer::describe(std::span<const cw_event* const> events) {
  const Time now = std::chrono::steady_clock::now();
  // Now, not earlier: what was captured of a flow was so before the event which has been read already.
  read_captures(now);
  auto details = with_nat(events, nat_ ? nat_->look_up(events, now) : std::vector<NatResult>());
  for (size_t i = 0; i < events.size(); i++) captured_.describe_ended(*events[i], &details[i]);
  return details;
}

std::vector<FlowDetails> Describer::describe_open(std::span<const cw_event* const> events) {
  const Time now = std::chrono::steady_clock::now();
  read_captures(now);
  auto details = with_nat(events, nat_ ? nat_->look_up_open(events, now) : std::vector<NatResult>());
  for (size_t i = 0; i < events.size(); i++) captured_.describe_open(*events[i], &details[i], now);
  return details;
}

void Describer::read_captures(Time now) {
  kernel_.read_captures(
      [&](const cw_capture& capture, Bytes payload) { captured_.add(capture, payload, now); });
}

void Describer::tick(Time now) {
  if (nat_) nat_->namespaces().close_idle(now);
  captured_.tick(now);
}

}  // namespace cellwall
