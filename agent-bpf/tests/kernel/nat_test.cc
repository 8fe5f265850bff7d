// SPDX-License-Identifier: Apache-2.0
//
// Real translation: a pod and a database in network namespaces of their own, and a node between them that
// sends a service address to the database and hides the pod behind its own address.
#include "nat.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

constexpr char kService[] = "10.96.0.10";
constexpr uint16_t kServicePort = 5432;
constexpr uint16_t kDatabasePort = 15432;
constexpr uint16_t kProxyPort = 15001;

void shell(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

void enter(const std::string& name) {
  const Fd fd(open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (setns(fd.get(), CLONE_NEWNET) != 0) _exit(250);
}

class Translations : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    remove_namespaces();
    shell("mkdir -p /run/netns && ip netns add cwpod && ip netns add cwdb");
    shell(
        "ip link add cwpod0 type veth peer name eth0 netns cwpod && ip addr add 10.8.0.1/24 dev cwpod0 && "
        "ip link set cwpod0 up && ip link add cwdb0 type veth peer name eth0 netns cwdb && "
        "ip addr add 10.9.0.1/24 dev cwdb0 && ip link set cwdb0 up");
    shell(
        "ip -n cwpod link set lo up && ip -n cwpod addr add 10.8.0.2/24 dev eth0 && ip -n cwpod link set "
        "eth0 up && "
        "ip -n cwpod route add default via 10.8.0.1");
    shell(
        "ip -n cwdb link set lo up && ip -n cwdb addr add 10.9.0.2/24 dev eth0 && ip -n cwdb link set eth0 "
        "up && "
        "ip -n cwdb route add default via 10.9.0.1");
    shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    shell(
        "nft 'table ip node { chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.0.10 tcp "
        "dport "
        "5432 dnat to 10.9.0.2:15432; ip daddr 10.96.0.10 udp dport 53 dnat to 10.9.0.2:1053; }; "
        "chain post { type nat hook postrouting priority srcnat; oifname cwdb0 masquerade; }; }'");
  }
  void TearDown() override {
    (void)!std::system("nft delete table ip node 2>/dev/null");
    remove_namespaces();
    KernelTest::TearDown();
  }

  static void remove_namespaces() {
    (void)!std::system(
        "ip netns del cwpod 2>/dev/null; ip netns del cwdb 2>/dev/null; ip link del cwpod0 2>/dev/null; "
        "ip link del cwdb0 2>/dev/null");
  }

  Nat nat() {
    auto namespaces = Namespaces::open("/proc/self/ns/net");
    EXPECT_TRUE(namespaces.has_value());
    return Nat(std::move(*namespaces), [this](const cw_event& event) {
      return NatSite{
          .cgroup = event.socket_cgroup == cgroup_id(root_ + "/web") ? root_ + "/web" : root_ + "/db",
          .addresses = {}};
    });
  }

  // A process that stays in the pod, as its pause container does.
  void hold_pod(const std::string& cgroup, const std::function<void()>& work) {
    int ready[2], end[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(end), 0);
    std::thread holder([&] {
      run_in(cgroup, [&] {
        enter("cwpod");
        char byte = 'x';
        (void)!write(ready[1], &byte, 1);
        (void)!read(end[0], &byte, 1);
        return 0;
      });
    });
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    work();
    ASSERT_EQ(write(end[1], "x", 1), 1);
    holder.join();
  }

  // In a namespace and a cgroup: accepts one connection, then runs.
  std::thread serve(const std::string& name, const std::string& cgroup, const std::string& address,
                    uint16_t port) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    std::thread serving([=] {
      run_in(cgroup, [=] {
        enter(name);
        Server server(SOCK_STREAM, address, port);
        (void)!write(ready[1], "x", 1);
        serve_one(server, 10, 20);
        return 0;
      });
    });
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    return serving;
  }

  const cw_event* find(const std::vector<cw_event>& events, cw_direction direction) {
    for (const cw_event& event : events) {
      if (event.direction == direction) return &event;
    }
    return nullptr;
  }
};
INSTANTIATE_TEST_SUITE_P(, Translations, ::testing::Values(false));

std::string text(const Endpoint& end) {
  return text_of(end.address.data()) + ":" + std::to_string(end.port);
}

TEST_P(Translations, both_ends_of_a_service_connection_name_each_other) {
  start();
  const std::string web = container("web"), db = container("db");
  hold_pod(web, [&] {
    std::thread serving = serve("cwdb", db, "10.9.0.2", kDatabasePort);
    EXPECT_EQ(run_in(web,
                     [] {
                       enter("cwpod");
                       return tcp_exchange(kService, kServicePort, 10, 20);
                     }),
              0);
    serving.join();
    const auto found = events();
    const cw_event* client = find(found, CW_EGRESS);
    const cw_event* server = find(found, CW_INGRESS);
    ASSERT_TRUE(client && server);
    Nat joiner = nat();
    const cw_event* both[] = {client, server};
    const auto results = joiner.look_up(both, Nat::Time::clock::now());
    ASSERT_TRUE(results[0].translation && results[1].translation);
    EXPECT_EQ(text_of(client->remote), kService);
    EXPECT_EQ(text(results[0].translation->destination), "10.9.0.2:15432");
    EXPECT_EQ(text(results[0].translation->source),
              text_of(server->remote) + ":" + std::to_string(server->remote_port));
    EXPECT_EQ(text_of(server->remote), "10.9.0.1");
    EXPECT_EQ(text(results[1].translation->source), "10.8.0.2:" + std::to_string(client->local_port));
    EXPECT_EQ(text(results[1].translation->destination), "10.96.0.10:5432");
    EXPECT_FALSE(results[0].untracked || results[1].untracked);
  });
}

TEST_P(Translations, a_flow_whose_entry_is_gone_is_marked) {
  start();
  const std::string web = container("web"), db = container("db");
  hold_pod(web, [&] {
    std::thread serving = serve("cwdb", db, "10.9.0.2", kDatabasePort);
    run_in(web, [] {
      enter("cwpod");
      return tcp_exchange(kService, kServicePort, 10, 20);
    });
    serving.join();
    const auto found = events();
    const cw_event* client = find(found, CW_EGRESS);
    ASSERT_TRUE(client);
    shell("conntrack -D -p tcp --orig-port-dst 5432 >/dev/null 2>&1");
    // Another connection keeps tracking active.
    Server other(SOCK_STREAM, "10.7.0.1");
    EXPECT_EQ(tcp_exchange("10.7.0.1", other.port()), 0);
    Nat joiner = nat();
    const auto results = joiner.look_up(std::array{client}, Nat::Time::clock::now());
    EXPECT_FALSE(results[0].translation);
    EXPECT_TRUE(results[0].untracked);
  });
}

TEST_P(Translations, what_was_seen_while_a_flow_was_open_is_known_at_its_end) {
  start();
  const std::string web = container("web"), db = container("db");
  hold_pod(web, [&] {
    std::thread serving = serve("cwdb", db, "10.9.0.2", kDatabasePort);
    run_in(web, [] {
      enter("cwpod");
      return tcp_exchange(kService, kServicePort, 10, 20);
    });
    serving.join();
    const auto found = events();
    const cw_event* client = find(found, CW_EGRESS);
    ASSERT_TRUE(client);
    Nat joiner = nat();
    ASSERT_TRUE(joiner.look_up_open(std::array{client}, Nat::Time::clock::now())[0].translation);
    shell("conntrack -F >/dev/null 2>&1");
    const auto results = joiner.look_up(std::array{client}, Nat::Time::clock::now());
    ASSERT_TRUE(results[0].translation);
    EXPECT_EQ(text(results[0].translation->destination), "10.9.0.2:15432");
  });
}

TEST_P(Translations, a_redirect_inside_the_pod_shows_the_proxy_behind_what_was_asked_for) {
  start();
  const std::string web = container("web"), db = container("db");
  shell(
      "ip netns exec cwpod nft 'table ip mesh { chain out { type nat hook output priority dstnat; ip daddr "
      "203.0.113.7 tcp dport 80 redirect to :15001; }; }'");
  hold_pod(web, [&] {
    std::thread proxy = serve("cwpod", db, "0.0.0.0", kProxyPort);
    EXPECT_EQ(run_in(web,
                     [] {
                       enter("cwpod");
                       return tcp_exchange("203.0.113.7", 80, 10, 20);
                     }),
              0);
    proxy.join();
    const auto found = events();
    const cw_event* application = find(found, CW_EGRESS);
    const cw_event* proxied = find(found, CW_INGRESS);
    ASSERT_TRUE(application && proxied);
    EXPECT_EQ(application->socket_cgroup, cgroup_id(web));
    EXPECT_EQ(proxied->socket_cgroup, cgroup_id(db));
    Nat joiner = nat();
    const cw_event* both[] = {application, proxied};
    const auto results = joiner.look_up(both, Nat::Time::clock::now());
    EXPECT_EQ(text_of(application->remote), "203.0.113.7");
    ASSERT_TRUE(results[0].translation && results[1].translation);
    EXPECT_EQ(text(results[0].translation->destination), "127.0.0.1:15001");
    EXPECT_EQ(text(results[1].translation->destination), "203.0.113.7:80");
  });
}

TEST_P(Translations, connections_without_translation_have_none_and_no_mark) {
  start();
  const std::string web = container("web"), db = container("db");
  hold_pod(web, [&] {
    shell(
        "nft delete table ip node; nft 'table ip node { chain in { type filter hook forward priority 0; ct "
        "state new "
        "counter; }; }'");
    std::thread serving = serve("cwdb", db, "10.9.0.2", kDatabasePort);
    EXPECT_EQ(run_in(web,
                     [] {
                       enter("cwpod");
                       return tcp_exchange("10.9.0.2", kDatabasePort, 10, 20);
                     }),
              0);
    serving.join();
    const auto found = events();
    ASSERT_EQ(found.size(), 2U);
    Nat joiner = nat();
    const cw_event* both[] = {&found[0], &found[1]};
    for (const NatResult& result : joiner.look_up(both, Nat::Time::clock::now())) {
      EXPECT_FALSE(result.translation);
      EXPECT_FALSE(result.untracked);
    }
  });
}

}  // namespace
}  // namespace cellwall::test
