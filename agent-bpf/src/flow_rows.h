// SPDX-License-Identifier: Apache-2.0
//
// Rows out of the columns of a message, and into those of another: for what is done to batches once they are
// made. Events become columns in flow_encoder.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cellwall/v1/agent.pb.h"

namespace cellwall {

// Texts and addresses point into the columns they were read from. Fields as in FlowColumns.
struct FlowRow {
  struct End {
    std::string_view address;
    uint32_t port = 0;
    bool operator==(const End&) const = default;
  };
  uint64_t cgroup = 0;
  int64_t end_us = 0;
  uint64_t duration_plus_one = 0;
  uint32_t protocol = 0;
  v1::Direction direction = v1::DIRECTION_UNSPECIFIED;
  v1::Verdict verdict = v1::VERDICT_UNSPECIFIED;
  v1::End end = v1::END_UNSPECIFIED;
  End local, remote;
  uint64_t sent_plus_one = 0, received_plus_one = 0;
  uint32_t sent_packets = 0, received_packets = 0;
  uint32_t rtt_us = 0, retransmits = 0;
  uint32_t rule = 0;
  uint64_t generation = 0;
  int64_t cookie = 0;
  uint32_t process_id = 0;
  std::string_view process_name;
  uint32_t flags = 0;
  bool translated = false;
  End source, destination;
  bool named = false;
  std::string_view name;
  v1::Payload payload = v1::PAYLOAD_UNSPECIFIED;
  uint32_t tls_version = 0;
  bool has_server_name = false;
  std::string_view server_name;
  v1::Failure failure = v1::FAILURE_UNSPECIFIED;
  uint32_t count = 1;  // events
  bool first_of_pair = false;

  int64_t begin_us() const {
    return end_us - (duration_plus_one ? static_cast<int64_t>(duration_plus_one) - 1 : 0);
  }
};

// False: the columns do not fit together.
bool read_rows(const v1::FlowColumns& columns, std::vector<FlowRow>* rows);
v1::FlowColumns write_rows(const std::vector<FlowRow>& rows);

}  // namespace cellwall
