// SPDX-License-Identifier: Apache-2.0
//
// Sockets for the kernel tests: one pattern of system calls each.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace cellwall::test {

constexpr int kMultipath = 262;  // IPPROTO_MPTCP

// A kernel may be built without it, or have it switched off (net.mptcp.enabled): then there is nothing to
// judge.
#define NEED_MULTIPATH()                                                 \
  if (const int error = ::cellwall::test::multipath_error(); error != 0) \
  GTEST_SKIP() << "no multipath TCP: " << std::strerror(error)

// `make setup` installs it, so `make test` has it; the kernels that `make kernels` emulates may lack its
// modules, and without it these tests have no way to lose or to translate packets.
#define NEED_NFTABLES() \
  if (std::system("nft list tables >/dev/null 2>&1") != 0) GTEST_SKIP() << "nftables is not here"

// Why no such socket can be made; 0: one can.
int multipath_error();

// A listening TCP or bound UDP socket.
class Server {
 public:
  Server(int type, const std::string& address, uint16_t port = 0, int protocol = 0);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  uint16_t port() const { return port_; }
  int fd() const { return fd_; }

 private:
  int fd_;
  uint16_t port_;
};

// The following return 0 or an errno value, so that they can be the exit code of a child.

// Connects, sends and receives that many bytes, closes.
int tcp_exchange(const std::string& address, uint16_t port, size_t send_bytes = 0, size_t receive_bytes = 0,
                 int protocol = 0);
// The same with the first bytes in the SYN, where the server allows it.
int tcp_fast_open(const std::string& address, uint16_t port, size_t send_bytes, size_t receive_bytes);
// Connects and resets, so that the port is free at once.
int tcp_abort(const std::string& address, uint16_t port);
// Begins to connect, and closes before anybody can have answered.
int tcp_give_up(const std::string& address, uint16_t port);
int udp_connect(const std::string& address, uint16_t port);
// A connected socket: one datagram there and one back. ETIMEDOUT: none came back.
int udp_exchange(const std::string& address, uint16_t port);
int udp_send(int fd, const std::string& address, uint16_t port);
// Asks who sent it, as a server does; returns what recvfrom does.
ssize_t udp_receive(int fd, char* byte);
// One echo request through a socket of the kind that needs no privilege, and its answer.
int ping(const std::string& address, bool connected);
// Listens on a port together with others.
void share_port(int fd, const std::string& address, uint16_t port);
int tcp_try(int fd, const std::string& address, uint16_t port);
int make_socket(const std::string& address, int type, int protocol = 0);
int bound_socket(const std::string& address, uint16_t port, int type, int protocol = 0);
// A descriptor through a local socket.
int pass_descriptor(int channel, int fd);
int receive_descriptor(int channel);

// Accepts one connection, receives and sends that many bytes, waits for the peer's end, closes.
void serve_one(const Server& server, size_t receive_bytes, size_t send_bytes);
// Answers one datagram.
void udp_serve_one(const Server& server);

}  // namespace cellwall::test
