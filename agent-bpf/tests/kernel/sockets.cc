// SPDX-License-Identifier: Apache-2.0
#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace cellwall::test {
namespace {

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address make_address(const std::string& text, uint16_t port) {
  Address address;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof(*v6);
  } else {
    inet_pton(AF_INET, text.c_str(), &v4->sin_addr);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof(*v4);
  }
  return address;
}

void send_all(int fd, size_t bytes) {
  const std::vector<char> data(bytes, 'x');
  for (size_t sent = 0; sent < bytes;) {
    const ssize_t count = send(fd, data.data() + sent, bytes - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
}

void receive_all(int fd, size_t bytes) {
  std::vector<char> data(bytes + 1);
  for (size_t received = 0; received < bytes;) {
    const ssize_t count = recv(fd, data.data(), bytes - received, 0);
    if (count <= 0) return;
    received += static_cast<size_t>(count);
  }
}

}  // namespace

int multipath_error() {
  const int probe = socket(AF_INET, SOCK_STREAM, kMultipath);
  if (probe < 0) return errno;
  close(probe);
  return 0;
}

Server::Server(int type, const std::string& address, uint16_t port, int protocol)
    : fd_(bound_socket(address, port, type, protocol)), port_(0) {
  Address local = make_address(address, port);
  if (type == SOCK_STREAM) listen(fd_, 4096);
  getsockname(fd_, local.get(), &local.size);
  port_ = ntohs(reinterpret_cast<sockaddr_in*>(local.get())->sin_port);  // same place in sockaddr_in6
}

Server::~Server() {
  close(fd_);
}

int make_socket(const std::string& address, int type, int protocol) {
  return socket(address.find(':') == std::string::npos ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, protocol);
}

int bound_socket(const std::string& address, uint16_t port, int type, int protocol) {
  const int fd = make_socket(address, type, protocol), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  Address local = make_address(address, port);
  bind(fd, local.get(), local.size);
  return fd;
}

int tcp_try(int fd, const std::string& address, uint16_t port) {
  Address remote = make_address(address, port);
  return connect(fd, remote.get(), remote.size) == 0 ? 0 : errno;
}

int tcp_exchange(const std::string& address, uint16_t port, size_t send_bytes, size_t receive_bytes,
                 int protocol) {
  const int fd = make_socket(address, SOCK_STREAM, protocol);
  const int error = tcp_try(fd, address, port);
  if (error == 0) {
    send_all(fd, send_bytes);
    receive_all(fd, receive_bytes);
  }
  close(fd);
  return error;
}

int tcp_fast_open(const std::string& address, uint16_t port, size_t send_bytes, size_t receive_bytes) {
  const int fd = make_socket(address, SOCK_STREAM);
  const std::vector<char> data(send_bytes, 'x');
  Address remote = make_address(address, port);
  if (sendto(fd, data.data(), send_bytes, MSG_FASTOPEN, remote.get(), remote.size) !=
      static_cast<ssize_t>(send_bytes))
    return errno;
  receive_all(fd, receive_bytes);
  close(fd);
  return 0;
}

int tcp_abort(const std::string& address, uint16_t port) {
  const int fd = make_socket(address, SOCK_STREAM);
  const int error = tcp_try(fd, address, port);
  const linger abort = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  close(fd);
  return error;
}

int tcp_give_up(const std::string& address, uint16_t port) {
  const int fd = make_socket(address, SOCK_STREAM | SOCK_NONBLOCK);
  const int error = tcp_try(fd, address, port);
  usleep(20000);
  close(fd);
  return error;
}

int udp_connect(const std::string& address, uint16_t port) {
  const int fd = make_socket(address, SOCK_DGRAM);
  int error = tcp_try(fd, address, port);
  if (error == 0 && send(fd, "x", 1, 0) != 1) error = errno;
  close(fd);
  return error;
}

int udp_exchange(const std::string& address, uint16_t port) {
  const int fd = make_socket(address, SOCK_DGRAM);
  const timeval patience = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  int error = tcp_try(fd, address, port);
  char byte;
  if (error == 0 && (send(fd, "x", 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)) error = ETIMEDOUT;
  close(fd);
  return error;
}

int udp_send(int fd, const std::string& address, uint16_t port) {
  Address remote = make_address(address, port);
  return sendto(fd, "x", 1, 0, remote.get(), remote.size) == 1 ? 0 : errno;
}

ssize_t udp_receive(int fd, char* byte) {
  Address peer;
  peer.size = sizeof(peer.storage);
  return recvfrom(fd, byte, 1, 0, peer.get(), &peer.size);
}

int ping(const std::string& address, bool connected) {
  const bool v6 = address.find(':') != std::string::npos;
  const int protocol = v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
  const int fd = make_socket(address, SOCK_DGRAM, protocol);
  Address remote = make_address(address, 0);
  const timeval patience = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  icmphdr echo = {};  // the header of ICMPv6 has the same shape
  echo.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  if (connected && connect(fd, remote.get(), remote.size) != 0) return errno;
  const ssize_t sent = connected ? send(fd, &echo, sizeof(echo), 0)
                                 : sendto(fd, &echo, sizeof(echo), 0, remote.get(), remote.size);
  if (sent != sizeof(echo) || recv(fd, &echo, sizeof(echo), 0) != sizeof(echo)) return errno;
  close(fd);
  return 0;
}

void share_port(int fd, const std::string& address, uint16_t port) {
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  Address local = make_address(address, port);
  bind(fd, local.get(), local.size);
  listen(fd, 4096);
}

void serve_one(const Server& server, size_t receive_bytes, size_t send_bytes) {
  const int fd = accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  receive_all(fd, receive_bytes);
  send_all(fd, send_bytes);
  char end;
  (void)!recv(fd, &end, 1, 0);
  close(fd);
}

int pass_descriptor(int channel, int fd) {
  char byte = 'x';
  iovec part = {.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fd));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  return sendmsg(channel, &message, 0) == 1 ? 0 : errno;
}

int receive_descriptor(int channel) {
  char byte;
  iovec part = {.iov_base = &byte, .iov_len = 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(channel, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

void udp_serve_one(const Server& server) {
  Address peer;
  peer.size = sizeof(peer.storage);
  char byte;
  if (recvfrom(server.fd(), &byte, 1, 0, peer.get(), &peer.size) != 1) return;
  (void)!sendto(server.fd(), &byte, 1, 0, peer.get(), peer.size);
}

}  // namespace cellwall::test
