// SPDX-License-Identifier: Apache-2.0
//
// What a container looked up before any rule had the name: observed, and taught when a rule has it.
#include <netinet/in.h>

#include <cerrno>

#include "captured.h"
#include "clock.h"
#include "name_teacher.h"
#include "names_fixture.h"

namespace cellwall::test {
namespace {

constexpr char kTarget[] = "127.1.0.1";
constexpr char kName[] = "api.example.com";

class NamesTaught : public NamesTest {
 protected:
  void SetUp() override {
    NamesTest::SetUp();
    const auto done = kernel_->observe(cgroup_id(web_), web_, {.names = true, .payload = false});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    accept({"other.org"});
    server_ = std::make_unique<NameServer>(
        kResolver, [](const std::string&, const Message& query) { return answer_to(query, {kTarget}); });
  }
  void TearDown() override {
    server_.reset();
    NamesTest::TearDown();
  }

  // As the agent does, when the name is in a rule.
  void teach(const std::vector<KernelResolver>& resolvers) {
    kernel_->read_captures([&](const cw_capture& capture, Bytes payload) {
      captured_.add(capture, payload, std::chrono::steady_clock::now());
    });
    accept({kName});
    EXPECT_EQ(reach(kTarget), EPERM) << "the kernel knew no such name when the answer came";
    NameTeacher(*kernel_, captured_.names()).teach(cgroup_id(web_), own_network(), resolvers);
  }
  std::vector<KernelResolver> trusted() const {
    return {{.net = own_network(), .address = address(kResolver)}};
  }

  Clock clock_;
  Captured captured_{clock_, [](uint64_t) { return uint64_t{0}; }};
  std::unique_ptr<NameServer> server_;
};
INSTANTIATE_TEST_SUITE_P(, NamesTaught, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(NamesTaught, need_not_be_looked_up_again) {
  for (const Asking how : {Asking::kConnected, Asking::kUnconnected}) {
    const uint64_t before = boot_now_ns();
    EXPECT_EQ(ask(kName, how), 0);
    const uint64_t after = boot_now_ns();
    teach(trusted());
    EXPECT_EQ(reach(kTarget), 0);
    const auto found = learned();
    ASSERT_EQ(found.size(), 1U);
    constexpr uint64_t kLasts = (60 + 60) * 1'000'000'000ULL;  // the time to live, and the grace
    EXPECT_GE(found[0].until_ns, before + kLasts);
    EXPECT_LE(found[0].until_ns, after + kLasts) << "from the answer on, not from now";
    end_learned_at(boot_now_ns());
    ASSERT_TRUE(kernel_->sweep_names().has_value());
    accept({"other.org"});
  }
}

TEST_P(NamesTaught, are_not_those_of_a_server_that_may_not_teach) {
  EXPECT_EQ(ask(kName), 0);
  teach({{.net = own_network(), .address = address("10.7.0.2")}});
  EXPECT_EQ(reach(kTarget), EPERM);
}

TEST_P(NamesTaught, are_not_those_that_came_over_loopback_from_a_resolver_of_all) {
  EXPECT_EQ(ask(kName), 0);
  teach({{.net = 0, .address = address(kResolver)}});
  EXPECT_EQ(reach(kTarget), EPERM);
}

TEST_P(NamesTaught, are_not_those_of_a_stream) {
  server_.reset();
  server_ = std::make_unique<NameServer>(kResolver, [](const std::string&, const Message& query) {
    return framed(answer_to(query, {kTarget}));
  });
  EXPECT_EQ(ask(kName, Asking::kTcp), 0);
  teach(trusted());
  EXPECT_EQ(captured_.names().size(), 1U);
  EXPECT_EQ(reach(kTarget), EPERM);
}

}  // namespace
}  // namespace cellwall::test
