// SPDX-License-Identifier: Apache-2.0
#include "nat.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "translated_network.h"

namespace cellwall::test {
namespace {

class Translations : public TranslatedNetwork {
 protected:
  static NatResult look_up(Nat& joiner, const cw_event& event) {
    return joiner.look_up(std::array{&event}, Nat::Time::clock::now())[0];
  }

  // Both ends of a service connection, and what is known about them.
  void expect_joined(const Family& family, int type = SOCK_STREAM) {
    exchange(family, type);
    const auto found = events();
    ASSERT_EQ(found.size(), 2U);
    const cw_event* client = find(found, CW_EGRESS);
    const cw_event* server = find(found, CW_INGRESS);
    ASSERT_TRUE(client && server);
    Nat joiner = nat();
    const auto results = joiner.look_up(std::array{client, server}, Nat::Time::clock::now());
    ASSERT_TRUE(results[0].translation && results[1].translation);
    EXPECT_EQ(text_of(client->remote), family.service);
    EXPECT_EQ(client->remote_port, kServicePort);
    EXPECT_EQ(text(results[0].translation->destination), family.database + ":15432");
    EXPECT_EQ(text(results[0].translation->source), family.node + ":" + std::to_string(server->remote_port));
    EXPECT_EQ(text_of(server->remote), family.node);
    EXPECT_EQ(text(results[1].translation->source), family.pod + ":" + std::to_string(client->local_port));
    EXPECT_EQ(text(results[1].translation->destination), family.service + ":5432");
    EXPECT_FALSE(results[0].untracked || results[1].untracked);
  }
};
INSTANTIATE_TEST_SUITE_P(, Translations, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Translations, both_ends_of_a_service_connection_name_each_other) {
  start();
  expect_joined(kV4);
}

TEST_P(Translations, both_ends_of_an_ipv6_service_connection_name_each_other) {
  start();
  expect_joined(kV6);
}

TEST_P(Translations, both_ends_of_a_udp_conversation_name_each_other) {
  start();
  expect_joined(kV4, SOCK_DGRAM);
}

TEST_P(Translations, an_unconnected_udp_socket_is_known_by_its_port_and_the_address_of_the_pod) {
  start([](KernelOptions& options) { options.udp_idle = std::chrono::seconds(1); });
  addresses_ = {address("10.8.0.2"), address("fd08::2")};
  OneServer server(database_, db_, "10.9.0.2", kDatabasePort, SOCK_DGRAM);
  EXPECT_EQ(run_at(pod_, web_,
                   [] {
                     const int fd = make_socket("10.8.0.2", SOCK_DGRAM);
                     // Two peers: of the second one nothing is kept with the socket.
                     const int error = udp_send(fd, "203.0.113.7", 9);
                     return error ? error : udp_send(fd, kV4.service, kServicePort);
                   }),
            0);
  EXPECT_EQ(server.join(), 0);
  usleep(1100000);
  ASSERT_TRUE(kernel_->sweep_udp().has_value());
  const auto found = events();
  Nat joiner = nat();
  int known = 0;
  for (const cw_event& event : found) {
    if (event.direction != CW_EGRESS || event.remote_port != kServicePort) continue;
    const NatResult result = look_up(joiner, event);
    ASSERT_TRUE(result.translation);
    EXPECT_EQ(text(result.translation->destination), "10.9.0.2:15432");
    known++;
  }
  EXPECT_EQ(known, 1);
}

TEST_P(Translations, a_flow_whose_entry_is_gone_is_marked) {
  start();
  exchange();
  const auto found = events();
  const cw_event* client = find(found, CW_EGRESS);
  ASSERT_TRUE(client);
  node_.run("conntrack -D -p tcp --orig-port-dst 5432 >/dev/null 2>&1");
  exchange();  // keeps tracking active
  Nat joiner = nat();
  const NatResult result = look_up(joiner, *client);
  EXPECT_FALSE(result.translation);
  EXPECT_TRUE(result.untracked);
}

TEST_P(Translations, what_was_seen_while_a_flow_was_open_is_known_at_its_end) {
  start();
  exchange();
  const auto found = events();
  const cw_event* client = find(found, CW_EGRESS);
  ASSERT_TRUE(client);
  Nat joiner = nat();
  ASSERT_TRUE(joiner.look_up_open(std::array{client}, Nat::Time::clock::now())[0].translation);
  node_.run("conntrack -F >/dev/null 2>&1");
  const NatResult result = look_up(joiner, *client);
  ASSERT_TRUE(result.translation);
  EXPECT_EQ(text(result.translation->destination), "10.9.0.2:15432");
}

TEST_P(Translations, an_entry_of_a_later_connection_is_not_taken_for_that_of_an_earlier_one) {
  start();
  {
    OneServer server(database_, db_, kV4.database, kDatabasePort);
    EXPECT_EQ(run_at(pod_, web_, [] { return tcp_abort(kV4.service, kServicePort); }), 0);
    server.join();
  }
  const auto first = events();
  const cw_event* client = find(first, CW_EGRESS);
  const cw_event* server = find(first, CW_INGRESS);
  ASSERT_TRUE(client && server);
  // The service moves, and the same port of the client is used again, by a connection that stays open.
  node_.run(
      "conntrack -F >/dev/null 2>&1; nft flush chain ip node pre; nft add rule ip node pre ip daddr "
      "10.96.0.10 "
      "tcp dport 5432 dnat to 10.9.0.2:15433");
  Signal listening, connected, end;
  Child serving(db_, [&] {
    database_.enter();
    Server moved(SOCK_STREAM, "10.9.0.2", 15433);
    listening.give();
    end.wait();
    return 0;
  });
  ASSERT_TRUE(listening.wait());
  Child later(web_, [&] {
    pod_.enter();
    const int fd = bound_socket("10.8.0.2", client->local_port, SOCK_STREAM);
    const int error = tcp_try(fd, kV4.service, kServicePort);
    connected.give();
    end.wait();
    return error;
  });
  ASSERT_TRUE(connected.wait());
  Nat joiner = nat();
  const NatResult ended = look_up(joiner, *client);
  EXPECT_FALSE(ended.translation);
  EXPECT_TRUE(ended.untracked);
  cw_event open = *client;
  open.end = CW_END_OPEN;
  const NatResult current = look_up(joiner, open);
  ASSERT_TRUE(current.translation);
  EXPECT_EQ(text(current.translation->destination), "10.9.0.2:15433");
  end.give();
  end.give();
  EXPECT_EQ(later.join(), 0);
  serving.join();
}

TEST_P(Translations, of_two_ends_with_the_same_addresses_only_the_later_one_has_the_entry) {
  start();
  exchange();
  const auto found = events();
  const cw_event* client = find(found, CW_EGRESS);
  ASSERT_TRUE(client);
  cw_event earlier = *client;
  earlier.cookie += 1000;
  earlier.end_ns -= 1000000;
  Nat joiner = nat();
  const auto results =
      joiner.look_up(std::array<const cw_event*, 2>{&earlier, client}, Nat::Time::clock::now());
  EXPECT_FALSE(results[0].translation);
  EXPECT_TRUE(results[0].untracked);
  EXPECT_TRUE(results[1].translation);
}

TEST_P(Translations, connections_without_translation_have_none_and_no_mark) {
  start();
  node_.run(
      "nft delete table ip node; nft 'table ip node { chain in { type filter hook forward priority 0; ct "
      "state new counter; }; }'");
  OneServer server(database_, db_, kV4.database, kDatabasePort);
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.database, kDatabasePort, 10, 20); }), 0);
  EXPECT_EQ(server.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  Nat joiner = nat();
  for (const cw_event& event : found) {
    const NatResult result = look_up(joiner, event);
    EXPECT_FALSE(result.translation);
    EXPECT_FALSE(result.untracked);
  }
}

// The kernel drops the entry as soon as the answer to a SYN is a reset.
TEST_P(Translations, a_refused_connect_is_marked) {
  start();
  addresses_ = {address("10.8.0.2")};
  exchange();  // makes tracking active
  (void)events();
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.service, kServicePort); }), ECONNREFUSED);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].failure, CW_FAILURE_REFUSED);
  Nat joiner = nat();
  const NatResult result = look_up(joiner, found[0]);
  EXPECT_FALSE(result.translation);
  EXPECT_TRUE(result.untracked);
}

TEST_P(Translations, a_connect_that_nobody_answered_has_its_translation) {
  start();
  database_.run("nft 'table ip deaf { chain in { type filter hook input priority 0; policy drop; }; }'");
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_give_up(kV4.service, kServicePort); }), EINPROGRESS);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].failure, CW_FAILURE_GIVEN_UP);
  Nat joiner = nat();
  const NatResult result = look_up(joiner, found[0]);
  ASSERT_TRUE(result.translation);
  EXPECT_EQ(text(result.translation->destination), "10.9.0.2:15432");
}

// A mesh: the container mesh of the pod takes all connections to far addresses and makes its own.
class Mesh : public Translations {
 protected:
  void SetUp() override {
    Translations::SetUp();
    pod_.run(
        "nft 'table ip mesh { chain out { type nat hook output priority -100; ip daddr 203.0.113.7 tcp dport "
        "80 redirect to :15001; }; }'");
  }
};
INSTANTIATE_TEST_SUITE_P(, Mesh, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Mesh, a_redirect_inside_the_pod_shows_the_proxy_behind_what_was_asked_for) {
  start();
  OneServer proxy(pod_, db_, "0.0.0.0", 15001);
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.far, 80, 10, 20); }), 0);
  EXPECT_EQ(proxy.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  const cw_event* application = find(found, CW_EGRESS);
  const cw_event* proxied = find(found, CW_INGRESS);
  ASSERT_TRUE(application && proxied);
  EXPECT_EQ(application->socket_cgroup, cgroup_id(web_));
  EXPECT_EQ(proxied->socket_cgroup, cgroup_id(db_));
  EXPECT_EQ(text_of(application->remote), kV4.far);
  Nat joiner = nat();
  const auto results = joiner.look_up(std::array{application, proxied}, Nat::Time::clock::now());
  ASSERT_TRUE(results[0].translation && results[1].translation);
  EXPECT_EQ(text(results[0].translation->destination), "127.0.0.1:15001");
  EXPECT_EQ(text(results[1].translation->destination), kV4.far + ":80");
  EXPECT_EQ(text(results[1].translation->source), "10.8.0.2:" + std::to_string(application->local_port));
}

TEST_P(Mesh, the_proxys_own_connection_has_the_translation_of_the_node) {
  start();
  const std::string mesh = container("mesh");
  OneServer database(database_, db_, kV4.database, kDatabasePort);
  Signal ready;
  Child proxy(mesh, [&] {
    pod_.enter();
    Server server(SOCK_STREAM, "0.0.0.0", 15001);
    ready.give();
    const int error = tcp_exchange(kV4.service, kServicePort, 10, 20);
    serve_one(server, 10, 20);
    return error;
  });
  ASSERT_TRUE(ready.wait());
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.far, 80, 10, 20); }), 0);
  EXPECT_EQ(proxy.join(), 0);
  EXPECT_EQ(database.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 4U);
  Nat joiner = nat();
  int of_proxy = 0, of_application = 0;
  for (const cw_event& event : found) {
    if (event.direction != CW_EGRESS) continue;
    const NatResult result = look_up(joiner, event);
    ASSERT_TRUE(result.translation);
    EXPECT_FALSE(result.untracked);
    if (event.socket_cgroup == cgroup_id(mesh)) {
      of_proxy++;
      EXPECT_EQ(text_of(event.remote), kV4.service);
      EXPECT_EQ(text(result.translation->destination), "10.9.0.2:15432");
      EXPECT_TRUE(text(result.translation->source).starts_with("10.9.0.1:"));
    } else {
      of_application++;
      EXPECT_EQ(text(result.translation->destination), "127.0.0.1:15001");
    }
  }
  EXPECT_EQ(of_proxy, 1);
  EXPECT_EQ(of_application, 1);
}

TEST_P(Mesh, traffic_that_stays_in_the_pod_is_never_marked) {
  start();
  for (const char* address : {"127.0.0.1", "10.8.0.2"}) {
    OneServer server(pod_, db_, address, 8080);
    EXPECT_EQ(run_at(pod_, web_, [=] { return tcp_exchange(address, 8080, 10, 20); }), 0);
    EXPECT_EQ(server.join(), 0);
  }
  const auto found = events();
  ASSERT_EQ(found.size(), 4U);
  pod_.run("conntrack -F >/dev/null 2>&1");
  // Both namespaces track something else.
  exchange();
  OneServer proxy(pod_, db_, "0.0.0.0", 15001);
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.far, 80, 10, 20); }), 0);
  EXPECT_EQ(proxy.join(), 0);
  Nat joiner = nat();
  for (const cw_event& event : found) {
    const NatResult result = look_up(joiner, event);
    EXPECT_FALSE(result.translation);
    EXPECT_FALSE(result.untracked);
  }
  EXPECT_EQ(joiner.look_ups(), 2U) << "loopback is not asked about, the pod's own address only in the pod";
}

}  // namespace
}  // namespace cellwall::test
