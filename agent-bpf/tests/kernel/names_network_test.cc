// SPDX-License-Identifier: Apache-2.0
//
// As in a cluster: the name server has a service address, is in another network namespace, and answers
// through two translations.
#include <cerrno>

#include "names_fixture.h"
#include "translated_network.h"

namespace cellwall::test {
namespace {

constexpr char kService[] = "10.96.0.53";

class NamesNetwork : public TranslatedNetwork {
 protected:
  void SetUp() override {
    TranslatedNetwork::SetUp();
    node_.run("nft 'add rule ip node pre ip daddr 10.96.0.53 udp dport 53 dnat to 10.9.0.2:53'");
    start();
    const KernelSubject subject = {.cgroup = cgroup_id(web_),
                                   .rule_set = 1,
                                   .flags = CW_SUBJECT_NAMES,
                                   .directory = web_,
                                   .net = network_at(pod_.path())};
    ASSERT_TRUE(kernel_->apply(names_policy(1, subject, {"api.example.com"})).has_value());
    server_ = std::make_unique<Child>("", [this] {
      database_.enter();
      NameServer server("10.9.0.2", [](const std::string&, const Message& query) {
        return answer_to(query, {"127.1.0.1"});
      });
      ready_.give();
      end_.wait(kChildSeconds);
      return 0;
    });
    ASSERT_TRUE(ready_.wait());
  }
  void TearDown() override {
    server_.reset();
    TranslatedNetwork::TearDown();
  }
  int ask(Asking how, const std::string& server = kService) {
    return run_at(pod_, web_, [&] { return look_up(server, "api.example.com", how); });
  }
  // Nobody listens there, so who gets through is refused by the kernel.
  bool may_reach() {
    return run_at(pod_, web_, [] { return tcp_abort("127.1.0.1", 1); }) == ECONNREFUSED;
  }
  void trust(const std::string& server, uint32_t net = 0) {
    ASSERT_TRUE(kernel_->set_resolvers({{.net = net, .address = address(server)}}).has_value());
  }

 private:
  Signal ready_, end_;
  std::unique_ptr<Child> server_;
};
INSTANTIATE_TEST_SUITE_P(, NamesNetwork, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(NamesNetwork, learns_from_a_resolver_of_all_namespaces_behind_translations) {
  trust(kService);
  EXPECT_FALSE(may_reach());
  EXPECT_EQ(ask(Asking::kUnconnected), 0);
  EXPECT_TRUE(may_reach());
  EXPECT_EQ(kernel_->counters()[CW_COUNT_NAMES_UNTRUSTED], 0U);
}

TEST_P(NamesNetwork, learns_over_a_connected_socket_too) {
  trust(kService);
  EXPECT_EQ(ask(Asking::kConnected), 0);
  EXPECT_TRUE(may_reach());
}

TEST_P(NamesNetwork, learns_nothing_when_the_backend_is_asked_and_the_service_is_the_resolver) {
  trust(kService);
  EXPECT_EQ(ask(Asking::kConnected, "10.9.0.2"), 0);
  EXPECT_FALSE(may_reach());
}

TEST_P(NamesNetwork, learns_nothing_from_a_resolver_of_another_namespace) {
  trust(kService, network_at(database_.path()));
  EXPECT_EQ(ask(Asking::kConnected), 0);
  EXPECT_FALSE(may_reach());
  EXPECT_EQ(kernel_->counters()[CW_COUNT_NAMES_UNTRUSTED], 1U);
}

}  // namespace
}  // namespace cellwall::test
