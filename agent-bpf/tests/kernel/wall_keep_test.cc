// SPDX-License-Identifier: Apache-2.0
//
// Where the second wall stands, and for how long: as links, and as filters for kernels without them.
#include <bpf/bpf.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fd.h"
#include "wall_fixture.h"

namespace cellwall::test {
namespace {

class WallKeepTest : public WallTest {
 protected:
  bool forced_fallback() const override { return false; }
  bool filters() const { return GetParam(); }
  void SetUp() override {
    WallTest::SetUp();
    start_agent(filters());
    guard();
  }
  bool stands() { return arrives(web_, {.to = kDenied}) == 0; }
  // The kernel takes links down in a worker of its own.
  bool goes() {
    for (int i = 0; i < 100; i++) {
      if (!stands()) return true;
      usleep(20000);
    }
    return false;
  }
};

TEST_P(WallKeepTest, stands_from_the_first_look_on) {
  EXPECT_FALSE(stands());
  EXPECT_EQ(keep().devices, 1u);
  EXPECT_TRUE(stands());
  EXPECT_EQ(keep().devices, 1u);
  EXPECT_TRUE(stands());
}

TEST_P(WallKeepTest, stands_while_the_agent_is_away_and_is_taken_over) {
  keep();
  stop();
  EXPECT_TRUE(stands());
  start_agent(filters());
  EXPECT_TRUE(stands());
  EXPECT_EQ(keep().devices, 1u);
  EXPECT_TRUE(stands());
  EXPECT_EQ(refused(), 3u);
}

TEST_P(WallKeepTest, goes_with_the_last_guarded_container) {
  keep();
  EXPECT_EQ(keep(false).devices, 0u);
  EXPECT_TRUE(goes());
}

TEST_P(WallKeepTest, goes_when_a_later_agent_finds_no_guarded_container) {
  keep();
  stop();
  start_agent(filters());
  EXPECT_EQ(keep(false).devices, 0u);
  EXPECT_TRUE(goes());
}

TEST_P(WallKeepTest, goes_when_it_is_uninstalled) {
  keep();
  ASSERT_TRUE(kernel_->uninstall().has_value());
  EXPECT_TRUE(goes());
}

TEST_P(WallKeepTest, is_put_up_again_where_somebody_removed_it) {
  keep();
  // Below Linux 6.6 there is none where links are wanted, either.
  const Fd link(bpf_obj_get((pins_ + "/link_wall_" + std::to_string(if_nametoindex(kNodeEnd))).c_str()));
  if (link) {
    ASSERT_EQ(bpf_link_detach(link.get()), 0) << std::strerror(errno);
  } else {
    node_.run("tc qdisc del dev cwpod0 clsact");
  }
  EXPECT_TRUE(goes());
  keep();
  EXPECT_TRUE(stands());
}

TEST_P(WallKeepTest, stands_at_each_device_of_a_pod) {
  node_.run("ip link add cwpod1 type veth peer name net1 netns " + pod_.path() + " && ip link set cwpod1 up");
  EXPECT_EQ(keep().devices, 2u);
  node_.run("ip link del cwpod1");
  EXPECT_EQ(keep().devices, 1u);
  EXPECT_TRUE(stands());
}

TEST_P(WallKeepTest, stays_at_a_device_that_was_moved_out_of_the_pod) {
  ASSERT_EQ(keep().devices, 1u);
  NetworkNamespace other;
  pod_.run("ip link set eth0 netns " + other.path());
  EXPECT_EQ(keep().devices, 1u);
  other.run("ip link set eth0 up");
  Arrivals arrivals(kNodeEnd, 0x0800);
  EXPECT_EQ(run_at(other, web_, [] { return send_frame(frame({.to = kDenied})); }), 0);
  EXPECT_EQ(arrivals.count(), 0);
}

TEST_P(WallKeepTest, says_which_containers_go_past_it) {
  const std::string host = container("host"), alone = container("alone");
  Signal end, ready;
  const Child in_host(host, [&] {
    ready.give();
    end.wait(kChildSeconds);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  const auto report = kernel_->keep_wall({{.cgroup = cgroup_id(host), .directory = host, .guarded = true},
                                          {.cgroup = cgroup_id(alone), .directory = alone, .guarded = true}},
                                         true);
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->devices, 0u);
  EXPECT_EQ(report->pending, 1u);
  ASSERT_EQ(report->without.size(), 1u);
  EXPECT_EQ(report->without[0].cgroup, cgroup_id(host));
  EXPECT_NE(report->without[0].reason.find("the node's network namespace"), std::string::npos);
}

TEST_P(WallKeepTest, is_put_up_as_soon_as_a_container_has_a_process) {
  const std::string late = container("late");
  const std::vector<WallContainer> containers = {
      {.cgroup = cgroup_id(late), .directory = late, .guarded = true}};
  auto report = kernel_->keep_wall(containers, true);
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->pending, 1u);
  EXPECT_EQ(report->devices, 0u);
  const Child process(late, [&] {
    pod_.enter();
    sleep(kChildSeconds);
    return 0;
  });
  for (int i = 0; i < 40 && report->devices == 0; i++) {
    usleep(50000);
    report = kernel_->keep_wall(containers, false);
  }
  EXPECT_EQ(report->pending, 0u);
  EXPECT_EQ(report->devices, 1u);
}

TEST_P(WallKeepTest, leaves_the_device_below_a_macvlan_alone) {
  node_.run("ip link add cwmv0 link cwdb0 type macvlan && ip link set cwmv0 netns " + pod_.path());
  const auto report = keep();
  EXPECT_EQ(report.devices, 1u);
  ASSERT_EQ(report.without.size(), 1u);
  EXPECT_NE(report.without[0].reason.find("cwmv0 (macvlan)"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WallKeepTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "filters" : "links"; });

}  // namespace
}  // namespace cellwall::test
