// SPDX-License-Identifier: Apache-2.0
#include "name_teacher.h"

#include <gtest/gtest.h>

#include "clock.h"
#include "fake_kernel.h"
#include "looked_up.h"

namespace cellwall::test {
namespace {

constexpr uint64_t kWeb = 70;
constexpr uint32_t kNet = 4026532000, kOtherNet = 4026532001;
const Address kResolver = *parse_address("10.96.0.10"), kLocal = *parse_address("127.0.0.11"),
              kAddress = v4(34);

class NamesTaught : public ::testing::Test {
 protected:
  void look_up(const std::string& name, const AnswerSource& source, uint32_t ttl = 60, uint64_t ago = 0) {
    names_.add(kWeb, answer(name, {kAddress}, ttl), now_ - ago, source);
  }
  std::vector<std::string> taught(uint32_t net = kNet) {
    kernel_.taught.clear();
    NameTeacher(kernel_, names_).teach(kWeb, net, resolvers_);
    std::vector<std::string> names;
    for (const auto& one : kernel_.taught) names.push_back(one.name);
    return names;
  }

  const uint64_t now_ = boot_now_ns();
  const std::vector<KernelResolver> resolvers_ = {{.net = 0, .address = kResolver},
                                                  {.net = kNet, .address = kLocal}};
  NameCache names_;
  FakeKernel kernel_;
};

using Names = std::vector<std::string>;

TEST_F(NamesTaught, are_those_of_the_containers_resolvers_with_their_time) {
  look_up("api.example.com", {.server = kResolver, .net = kNet}, 300, 5 * kSecond);
  EXPECT_EQ(taught(), Names{"api.example.com"});
  const auto& one = kernel_.taught[0];
  EXPECT_EQ(one.container, kWeb);
  EXPECT_EQ(one.address, kAddress);
  EXPECT_EQ(one.ttl, 300U);
  EXPECT_EQ(one.time_ns, now_ - 5 * kSecond);
}

TEST_F(NamesTaught, are_not_those_that_anybody_may_have_made_up) {
  look_up("other.server", {.server = kAddress, .net = kNet});
  look_up("other.network", {.server = kResolver, .net = kOtherNet});
  look_up("over.loopback", {.server = kResolver, .net = kNet, .loopback = true});
  look_up("in.a-stream", {.server = kResolver, .net = kNet, .stream = true});
  EXPECT_EQ(taught(), Names{});
  EXPECT_EQ(taught(0), Names{}) << "its network is not known";
}

TEST_F(NamesTaught, come_over_loopback_where_the_resolver_of_the_network_is_there) {
  look_up("api.example.com", {.server = kLocal, .net = kNet, .loopback = true});
  EXPECT_EQ(taught(), Names{"api.example.com"});
}

TEST_F(NamesTaught, end_when_the_kernel_would_end_them) {
  look_up("in.time", {.server = kResolver, .net = kNet}, 60, 119 * kSecond);
  look_up("too.late", {.server = kResolver, .net = kNet}, 60, 121 * kSecond);
  EXPECT_EQ(taught(), Names{"in.time"}) << "the time to live, and a minute";
}

TEST_F(NamesTaught, are_names_that_a_rule_can_have) {
  look_up("what is this", {.server = kResolver, .net = kNet});
  EXPECT_EQ(taught(), Names{});
}

TEST_F(NamesTaught, are_as_many_as_there_is_room_for) {
  look_up("a.example.com", {.server = kResolver, .net = kNet});
  look_up("b.example.com", {.server = kResolver, .net = kNet});
  kernel_.refuses = "no room";
  EXPECT_EQ(taught(), Names{"a.example.com"});
}

TEST_F(NamesTaught, are_those_of_the_newest_answer) {
  look_up("api.example.com", {.server = kResolver, .net = kNet}, 60, 100 * kSecond);
  look_up("api.example.com", {.server = kAddress, .net = kNet}, 60, 50 * kSecond);
  EXPECT_EQ(taught(), Names{}) << "of somebody else";
  look_up("api.example.com", {.server = kResolver, .net = kNet}, 90, 10 * kSecond);
  EXPECT_EQ(taught(), Names{"api.example.com"});
  EXPECT_EQ(kernel_.taught[0].ttl, 90U);
  EXPECT_EQ(kernel_.taught[0].time_ns, now_ - 10 * kSecond);
}

}  // namespace
}  // namespace cellwall::test
