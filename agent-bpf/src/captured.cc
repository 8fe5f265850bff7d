// SPDX-License-Identifier: Apache-2.0
#include "captured.h"

#include <netinet/in.h>

#include <algorithm>

namespace cellwall {
namespace {

// The events of a container's last flows come after its death.
constexpr std::chrono::minutes kKeepOfDead{5};

}  // namespace

void Captured::add(const cw_capture& capture, Bytes bytes, Time now) {
  if (capture.kind == CW_CAPTURE_NAMES) add_answers(capture, bytes);
  if (capture.kind == CW_CAPTURE_PAYLOAD) payloads_.add(capture, bytes, now);
}

void Captured::add_answers(const cw_capture& capture, Bytes bytes) {
  const uint64_t known = container_of_(capture.socket_cgroup);
  const uint64_t container = known ? known : capture.socket_cgroup;
  const auto wall_us = static_cast<uint64_t>(clock_.wall_us(capture.time_ns));
  DnsSegment segment;
  if (capture.protocol == IPPROTO_TCP) {
    segment = read_dns_segment(bytes);
  } else if (auto answer = read_dns_answer(bytes)) {
    segment.answers.push_back(std::move(*answer));
  } else {
    segment.unreadable = 1;
  }
  AnswerSource source = {.server = {},
                         .net = capture.net,
                         .loopback = capture.loopback != 0,
                         .stream = capture.protocol == IPPROTO_TCP};
  std::copy_n(capture.peer, source.server.size(), source.server.begin());
  for (const DnsAnswer& answer : segment.answers) {
    names_.add(container, answer, capture.time_ns, source);
    lookups_.add(container, answer, wall_us);
  }
  for (uint32_t i = 0; i < segment.unreadable; i++) lookups_.add_unreadable(container, wall_us);
}

// An accepted connection comes from an address that nobody had to look up.
std::string Captured::name_of(const cw_event& event, const FlowDetails& details) const {
  if (event.direction != CW_EGRESS) return "";
  Address remote;
  std::copy_n(event.remote, remote.size(), remote.begin());
  return names_.find(details.container ? details.container : event.socket_cgroup, remote, event.start_ns);
}

void Captured::describe_ended(const cw_event& event, FlowDetails* details) {
  details->name = name_of(event, *details);
  details->payload = payloads_.take(event);
}

void Captured::describe_open(const cw_event& event, FlowDetails* details, Time now) {
  details->name = name_of(event, *details);
  details->payload = payloads_.find(event, now);
}

void Captured::container_died(uint64_t container, Time now) {
  dead_.emplace_back(now, container);
}

void Captured::tick(Time now) {
  payloads_.tick(now);
  lookups_.tick(static_cast<uint64_t>(clock_.wall_us(boot_now_ns())));
  while (!dead_.empty() && now - dead_.front().first > kKeepOfDead) {
    names_.forget(dead_.front().second);
    dead_.erase(dead_.begin());
  }
}

}  // namespace cellwall
