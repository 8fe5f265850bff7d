// SPDX-License-Identifier: Apache-2.0
//
// Answers probes and Prometheus over HTTP, on threads of its own: /healthz, /readyz, /metrics. Says nothing
// of containers but their number.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "result.h"

namespace cellwall {

struct AgentStatus {
  std::string metrics;
  std::string not_ready;  // why; empty: what is in force is what should be
};

class StatusServer {
 public:
  // listen: HOST:PORT, an IPv6 address in brackets; port 0: any. Errors say why it cannot listen there.
  // stuck_after: a turn of the main loop takes 100 ms at most, when nothing is wrong.
  static Result<std::unique_ptr<StatusServer>> start(
      const std::string& listen, std::chrono::milliseconds stuck_after = std::chrono::seconds(10));
  ~StatusServer();

  // Of the main loop, on each turn: when it has not turned for a while, /healthz and /readyz fail.
  void turned();
  void publish(AgentStatus status);
  int port() const { return port_; }

 private:
  struct Shared;
  StatusServer();

  std::unique_ptr<Shared> shared_;
  int port_ = 0;
};

}  // namespace cellwall
