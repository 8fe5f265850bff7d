// SPDX-License-Identifier: Apache-2.0
//
// Which server the stream goes to, and when it is tried again.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "result.h"

namespace cellwall {

struct ServerAddress {
  std::string address;   // HOST:PORT, or unix:PATH
  std::string tls_name;  // that its certificate has to have; empty: the host
};

// "a:7480,b:7480". tls_names: one for all, or as many as there are servers.
Result<std::vector<ServerAddress>> parse_servers(const std::string& servers, const std::string& tls_names);

// When a stream ends, the next server of the list is tried at once; when none of them has answered, the last
// good one again after a pause. Pauses are drawn between nothing and a bound that doubles, so that agents
// which lost their server together do not come back together.
class Reconnect {
 public:
  static constexpr std::chrono::milliseconds kFirstBound{200};
  static constexpr std::chrono::milliseconds kLastBound{5000};

  explicit Reconnect(size_t servers, uint32_t seed = std::random_device{}())
      : servers_(servers), random_(seed) {}

  size_t server() const { return server_; }
  // A stream that was welcomed and ended soon does not shorten the pauses: the next one may end as soon.
  static constexpr std::chrono::seconds kStable{10};

  // lasted: since the welcome. Returns how long to wait.
  std::chrono::milliseconds ended(bool welcomed, std::chrono::milliseconds lasted);

 private:
  const size_t servers_;
  std::mt19937 random_;
  size_t server_ = 0;
  size_t last_good_ = 0;
  size_t failed_ = 0;  // since the last pause, or since one has lasted
  std::chrono::milliseconds bound_ = kFirstBound;
};

}  // namespace cellwall
