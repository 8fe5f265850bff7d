// SPDX-License-Identifier: Apache-2.0
#include "name_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

namespace cellwall::test {
namespace {

constexpr size_t kHead = 12;

bool readable(int fd, int milliseconds) {
  pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&wait, 1, milliseconds) == 1;
}

bool receive_whole(int fd, uint8_t* bytes, size_t count, int milliseconds) {
  while (count > 0) {
    const ssize_t got = readable(fd, milliseconds) ? recv(fd, bytes, count, 0) : -1;
    if (got <= 0) return false;
    bytes += got;
    count -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

NameServer::NameServer(const std::string& address, Reply reply)
    : udp_(SOCK_DGRAM, address, 53),
      tcp_(SOCK_STREAM, address, 53),
      reply_(std::move(reply)),
      thread_([this] { serve(); }) {}

NameServer::~NameServer() {
  done_ = true;
  thread_.join();
}

void NameServer::serve() {
  while (!done_) {
    pollfd waiting[] = {{.fd = udp_.fd(), .events = POLLIN, .revents = 0},
                        {.fd = tcp_.fd(), .events = POLLIN, .revents = 0}};
    if (poll(waiting, 2, 20) <= 0) continue;
    if (waiting[0].revents) serve_datagram();
    if (waiting[1].revents) serve_connection();
  }
}

void NameServer::serve_datagram() {
  Message query(4096);
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  const ssize_t bytes =
      recvfrom(udp_.fd(), query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&peer), &size);
  if (bytes < static_cast<ssize_t>(kHead)) return;
  query.resize(static_cast<size_t>(bytes));
  const Message answer = reply_(name_of(query), query);
  if (!answer.empty())
    sendto(udp_.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
}

// The answer is sent as it is: the test has put the length before it.
void NameServer::serve_connection() {
  const int fd = accept4(tcp_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  uint8_t prefix[2];
  while (receive_whole(fd, prefix, sizeof(prefix), 300)) {
    Message query(static_cast<size_t>(prefix[0] << 8 | prefix[1]));
    if (!receive_whole(fd, query.data(), query.size(), 300)) break;
    const Message answer = reply_(name_of(query), query);
    if (!answer.empty()) (void)send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  close(fd);
}

std::string name_of(const Message& query) {
  std::string name;
  for (size_t at = kHead; at < query.size() && query[at] && at + query[at] < query.size();
       at += query[at] + 1U) {
    if (!name.empty()) name += '.';
    name.append(query.begin() + static_cast<long>(at) + 1,
                query.begin() + static_cast<long>(at) + 1 + query[at]);
  }
  return name;
}

Message answer_to(const Message& query, const std::vector<std::string>& addresses, uint32_t ttl) {
  DnsWriter writer(kDnsOk, 1, static_cast<uint16_t>(addresses.size()));
  Message message = writer.bytes();
  message.insert(message.end(), query.begin() + kHead, query.end());
  for (const std::string& text : addresses) {
    const auto bytes = address(text);
    const bool v6 = text.find(':') != std::string::npos;
    DnsWriter record(0, 0, 0);
    record.pointer(kHead).record(v6 ? 28 : 1, ttl, Message(bytes.begin() + (v6 ? 0 : 12), bytes.end()));
    message.insert(message.end(), record.bytes().begin() + kHead, record.bytes().end());
  }
  return message;
}

Message query_for(const std::string& name, uint16_t type) {
  return DnsWriter(0x0100, 1, 0).question(name, type).bytes();
}

int look_up(const std::string& server, const std::string& name, Asking how, int milliseconds) {
  const bool tcp = how == Asking::kTcp;
  const Message query = tcp ? framed(query_for(name)) : query_for(name);
  const int fd = make_socket(server, tcp ? SOCK_STREAM : SOCK_DGRAM);
  int result = 0;
  sockaddr_storage to = {};
  const auto bytes = address(server);
  const bool v6 = server.find(':') != std::string::npos;
  if (v6) {
    auto* six = reinterpret_cast<sockaddr_in6*>(&to);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(53);
    std::copy(bytes.begin(), bytes.end(), six->sin6_addr.s6_addr);
  } else {
    auto* four = reinterpret_cast<sockaddr_in*>(&to);
    four->sin_family = AF_INET;
    four->sin_port = htons(53);
    std::copy(bytes.begin() + 12, bytes.end(), reinterpret_cast<uint8_t*>(&four->sin_addr));
  }
  const socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (how != Asking::kUnconnected && connect(fd, reinterpret_cast<sockaddr*>(&to), size) != 0) result = 1;
  const ssize_t sent = how == Asking::kUnconnected
                           ? sendto(fd, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&to), size)
                           : send(fd, query.data(), query.size(), MSG_NOSIGNAL);
  uint8_t answer[4096];
  if (!result && sent != static_cast<ssize_t>(query.size())) result = 2;
  if (!result && (!readable(fd, milliseconds) || recv(fd, answer, sizeof(answer), 0) <= 0)) result = 3;
  close(fd);
  return result;
}

}  // namespace cellwall::test
