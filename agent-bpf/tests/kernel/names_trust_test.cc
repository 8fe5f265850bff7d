// SPDX-License-Identifier: Apache-2.0
//
// Who may not teach, whatever he sends.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "names_fixture.h"

namespace cellwall::test {
namespace {

constexpr char kAnswered[] = "127.5.0.1";

class NamesTrust : public NamesTest {
 protected:
  void SetUp() override {
    NamesTest::SetUp();
    accept({"api.example.com"});
  }
  uint32_t flags_of(const std::string& cgroup) const {
    return kernel_->subject(cgroup_id(cgroup)).value_or(cw_subject{}).flags;
  }
  void expect_nothing_learned() {
    EXPECT_TRUE(learned().empty());
    EXPECT_EQ(reach(kAnswered), EPERM);
  }
};
INSTANTIATE_TEST_SUITE_P(, NamesTrust, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

Message forged_answer(const Message& query) {
  return answer_to(query, {kAnswered});
}

Reply forging() {
  return [](const std::string&, const Message& query) { return forged_answer(query); };
}

sockaddr_in v4(const std::string& address, uint16_t port) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  return to;
}

TEST_P(NamesTrust, no_server_that_is_no_resolver) {
  NameServer server("10.7.0.2", forging());
  EXPECT_EQ(ask("api.example.com", Asking::kConnected, "10.7.0.2"), 0) << "the answer itself comes";
  EXPECT_EQ(ask("api.example.com", Asking::kUnconnected, "10.7.0.2"), 0);
  expect_nothing_learned();
  EXPECT_EQ(count(CW_COUNT_NAMES_UNTRUSTED), 2U);
}

TEST_P(NamesTrust, no_server_on_loopback) {
  trust({{.net = 0, .address = address("127.0.0.1")}, {.net = 0, .address = address(kResolver)}});
  NameServer local("127.0.0.1", forging()), resolver(kResolver, forging());
  EXPECT_EQ(ask("api.example.com", Asking::kConnected, "127.0.0.1"), 0);
  EXPECT_EQ(ask("api.example.com"), 0) << "its address, but by way of loopback";
  expect_nothing_learned();
  EXPECT_EQ(count(CW_COUNT_NAMES_UNTRUSTED), 2U);
}

TEST_P(NamesTrust, a_server_on_loopback_when_it_is_the_resolver_of_that_namespace) {
  trust({{.net = own_network(), .address = address("127.0.0.1")}});
  NameServer server("127.0.0.1", forging());
  EXPECT_EQ(ask("api.example.com", Asking::kConnected, "127.0.0.1"), 0);
  EXPECT_EQ(reach(kAnswered), 0);
  trust({{.net = own_network() + 1, .address = address("127.0.0.1")}});
  end_learned_at(1);
  EXPECT_EQ(ask("api.example.com", Asking::kConnected, "127.0.0.1"), 0);
  EXPECT_EQ(reach(kAnswered), EPERM) << "that of another namespace";
}

TEST_P(NamesTrust, nobody_in_a_namespace_that_the_container_made) {
  EXPECT_EQ(run_in(web_,
                   [&] {
                     if (unshare(CLONE_NEWNET) != 0) return 1;
                     if (std::system("ip link set lo up && ip addr add 10.7.0.1/24 dev lo") != 0) return 2;
                     NameServer server(kResolver, forging());
                     return look_up(kResolver, "api.example.com");
                   }),
            0);
  expect_nothing_learned();
  EXPECT_EQ(count(CW_COUNT_NAMES_UNTRUSTED), 1U);
}

TEST_P(NamesTrust, nobody_as_long_as_the_containers_namespace_is_not_known) {
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(web_)).has_value());
  KernelSubject unknown = learner(web_);
  unknown.net = 0;
  ASSERT_TRUE(kernel_->set_subject(unknown).has_value());
  NameServer server(kResolver, forging());
  EXPECT_EQ(ask("api.example.com"), 0);
  expect_nothing_learned();
  ASSERT_TRUE(kernel_->set_subject(learner(web_)).has_value());
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(reach(kAnswered), 0);
}

TEST_P(NamesTrust, nobody_whom_the_socket_did_not_ask) {
  // Web's socket asks one server; another one answers, which is a resolver, too.
  trust({{.net = own_network(), .address = address(kResolver)},
         {.net = own_network(), .address = address("10.7.0.2")}});
  Server asked(SOCK_DGRAM, kResolver, 53), other(SOCK_DGRAM, "10.7.0.2", 53);
  Child client(web_, [&] {
    const int fd = make_socket(kResolver, SOCK_DGRAM);
    const Message query = query_for("api.example.com");
    const sockaddr_in to = v4(kResolver, 53);
    (void)sendto(fd, query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    uint8_t answer[512];
    return recv(fd, answer, sizeof(answer), 0) > 0 ? 0 : 1;
  });
  Message query(512);
  sockaddr_in from = {};
  socklen_t size = sizeof(from);
  const ssize_t got =
      recvfrom(asked.fd(), query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  ASSERT_GT(got, 0);
  query.resize(static_cast<size_t>(got));
  const Message answer = forged_answer(query);
  ASSERT_GT(sendto(other.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size), 0);
  EXPECT_EQ(client.join(), 0);
  expect_nothing_learned();
}

TEST_P(NamesTrust, nobody_who_takes_the_resolvers_address_in_the_pod) {
  // The resolver is elsewhere; a neighbour in the same network namespace sends in its name, over loopback.
  constexpr char kFar[] = "203.0.113.53";
  trust({{.net = 0, .address = address(kFar)}});
  Child client(web_, [&] {
    const int fd = bound_socket("10.7.0.1", 40053, SOCK_DGRAM);
    const sockaddr_in to = v4(kFar, 53);
    const Message query = query_for("api.example.com");
    (void)sendto(fd, query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    uint8_t answer[512];
    return recv(fd, answer, sizeof(answer), 0) > 0 ? 0 : 1;
  });
  const std::string neighbour = container("pod/neighbour");
  EXPECT_EQ(run_in(neighbour,
                   [&] {
                     const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                     const int yes = 1;
                     setsockopt(fd, SOL_IP, IP_TRANSPARENT, &yes, sizeof(yes));
                     const sockaddr_in own = v4(kFar, 53), to = v4("10.7.0.1", 40053);
                     if (bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof(own)) != 0) return 1;
                     const Message answer = forged_answer(query_for("api.example.com"));
                     for (int i = 0; i < 20; i++) {
                       usleep(20000);
                       (void)sendto(fd, answer.data(), answer.size(), 0,
                                    reinterpret_cast<const sockaddr*>(&to), sizeof(to));
                     }
                     return 0;
                   }),
            0);
  EXPECT_EQ(client.join(), 0) << "the forged answer came";
  expect_nothing_learned();
  EXPECT_GE(count(CW_COUNT_NAMES_UNTRUSTED), 1U);
}

TEST_P(NamesTrust, no_guarded_neighbour_where_the_resolver_is_on_loopback) {
  constexpr char kLocal[] = "127.0.0.53";
  trust({{.net = own_network(), .address = address(kLocal)}});
  const std::string neighbour = container("pod/neighbour");
  // Web waits at a known port, and the neighbour answers in the resolver's name.
  const auto forge = [&] {
    Signal asked;
    Child client(web_, [&] {
      const int fd = bound_socket("127.0.0.1", 40053, SOCK_DGRAM);
      const sockaddr_in to = v4(kLocal, 53);
      const Message query = query_for("api.example.com");
      (void)sendto(fd, query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
      asked.give();
      const timeval patience = {.tv_sec = 0, .tv_usec = 500000};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      uint8_t answer[512];
      return recv(fd, answer, sizeof(answer), 0) > 0 ? 0 : 1;
    });
    EXPECT_TRUE(asked.wait());
    EXPECT_EQ(run_in(neighbour,
                     [&] {
                       const int fd = bound_socket(kLocal, 53, SOCK_DGRAM);
                       const sockaddr_in to = v4("127.0.0.1", 40053);
                       const Message answer = forged_answer(query_for("api.example.com"));
                       return sendto(fd, answer.data(), answer.size(), 0,
                                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0;
                     }),
              flags_of(neighbour) == CW_SUBJECT_GUARDED ? 1 : 0);
    return client.join();
  };
  KernelSubject guarded = {
      .cgroup = cgroup_id(neighbour), .rule_set = 0, .flags = CW_SUBJECT_GUARDED, .directory = neighbour};
  ASSERT_TRUE(kernel_->set_subject(guarded).has_value());
  EXPECT_NE(forge(), 0) << "nothing came";
  expect_nothing_learned();
  guarded.flags |= CW_SUBJECT_RESOLVER;
  ASSERT_TRUE(kernel_->set_subject(guarded).has_value());
  EXPECT_EQ(forge(), 0);
  EXPECT_EQ(reach(kAnswered), 0);
}

TEST_P(NamesTrust, no_message_that_is_malformed) {
  const Message query = query_for("api.example.com");
  const Message good = forged_answer(query);
  std::vector<Message> hostile;
  for (size_t i = 1; i < good.size(); i += 3)
    hostile.emplace_back(good.begin(), good.begin() + static_cast<long>(i));
  const auto changed = [&](size_t at, uint8_t value) {
    hostile.push_back(good);
    hostile.back()[at] = value;
  };
  changed(2, 0x01);  // a query
  changed(2, 0x83);  // truncated
  changed(3, 0x83);  // no such name
  changed(5, 2);     // two questions
  changed(7, 2);     // an answer that is not there
  changed(6, 0xff);  // very many
  changed(12, 4);    // lengths of the first label that lie
  changed(12, 64);
  changed(12, 0xc0);                 // pointers
  changed(query.size(), 0x80);       // the owner is of an unknown kind
  changed(query.size() + 11, 5);     // the address is longer
  changed(query.size() + 10, 0xff);  // than all
  // A question whose name is a pointer to itself.
  hostile.push_back(DnsWriter(kDnsOk, 1, 1)
                        .pointer(12)
                        .number(1, 2)
                        .number(1, 2)
                        .a("api.example.com", {127, 5, 0, 1})
                        .bytes());
  size_t next = 0;
  NameServer server(kResolver, [&](const std::string&, const Message&) { return hostile[next]; });
  for (next = 0; next < hostile.size(); next++) {
    EXPECT_EQ(ask("api.example.com"), 0) << next;
    EXPECT_TRUE(learned().empty()) << next;
  }
  expect_nothing_learned();
}

}  // namespace
}  // namespace cellwall::test
