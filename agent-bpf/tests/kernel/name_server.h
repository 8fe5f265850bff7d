// SPDX-License-Identifier: Apache-2.0
//
// A name server of the tests, over UDP and TCP, and those who ask it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "../unit/messages.h"
#include "sockets.h"

namespace cellwall::test {

// What to answer: whole messages, each sent as one datagram, or one segment behind its length; empty:
// nothing.
using Reply = std::function<Message(const std::string& name, const Message& query)>;

// Answers until it is destroyed. Its own traffic is of no container.
class NameServer {
 public:
  NameServer(const std::string& address, Reply reply);
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

 private:
  void serve();
  void serve_datagram();
  void serve_connection();

  Server udp_, tcp_;
  Reply reply_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

std::string name_of(const Message& query);
// An answer to the query with these addresses: IPv4 or IPv6, as text.
Message answer_to(const Message& query, const std::vector<std::string>& addresses, uint32_t ttl = 60);

enum class Asking { kConnected, kUnconnected, kTcp };
// Asks and waits for the answer; 0: there was one.
int look_up(const std::string& server, const std::string& name, Asking how = Asking::kConnected,
            int milliseconds = 2000);
Message query_for(const std::string& name, uint16_t type = 1);

}  // namespace cellwall::test
