// SPDX-License-Identifier: Apache-2.0
//
// What the tests of captured payloads share: who sends, who answers.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <thread>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {

inline constexpr Observation kNames = {.names = true, .payload = false};
inline constexpr Observation kPayload = {.names = false, .payload = true};
inline constexpr Observation kBoth = {.names = true, .payload = true};

struct Taken {
  cw_capture head;
  std::string payload;
};

class CaptureTest : public KernelTest {
 protected:
  void observe(const std::string& cgroup, Observation wanted);
  std::vector<Taken> captures();
};

bool receive(int fd, int milliseconds = 20000);
bool send_text(int fd, std::string_view text);

// Sends each datagram back to where it came from, count times; from another socket if there is one.
std::thread echo(const Server& server, int count, int other = -1);
// Round trips of one connected or unconnected UDP socket to port 53; 0: all were answered.
int ask(const std::string& server, bool connected, int times);

// A client that sends and receives in turn; 0: all went well. text: what it sends first.
int talk(const std::string& address, uint16_t port, int rounds, std::string_view text = "ping-0");
// Accepts one connection and answers; with "pong-0" first.
std::thread answer_one(const Server& server, int rounds);
// Such a server in a container; the client is outside. *port: where it listens.
std::thread serve_in(const std::string& cgroup, int rounds, bool deferred, uint16_t* port);

}  // namespace cellwall::test
