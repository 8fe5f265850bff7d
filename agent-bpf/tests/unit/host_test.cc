// SPDX-License-Identifier: Apache-2.0
//
// What the agent reads of the host: versions of its cgroups, and its addresses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "addresses.h"
#include "cgroup_versions.h"
#include "fd.h"

namespace cellwall {
namespace {

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

class CgroupVersionsOf : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/cellwall-proc-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    proc_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(proc_); }
  void mounts(const std::string& text) { write("self/mounts", text); }
  void process(const std::string& pid, const std::string& cgroups) { write(pid + "/cgroup", cgroups); }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((proc_ / name).parent_path());
    std::ofstream(proc_ / name) << text;
  }
  std::filesystem::path proc_;
};

const std::string kV1Mounts = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
const std::string kHybridMounts = kV1Mounts + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

TEST_F(CgroupVersionsOf, unified_host_leave_nothing_out) {
  mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
  process("1", "0::/init.scope\n");
  process("20", "0::/system.slice/docker-" + kId + ".scope\n");
  const auto versions = inspect_cgroups(proc_);
  EXPECT_TRUE(versions.v2_mounted);
  EXPECT_FALSE(versions.v1_in_use);
  EXPECT_EQ(what_is_unsupported(versions), "");
}

TEST_F(CgroupVersionsOf, v1_host_leave_all_out) {
  mounts(kV1Mounts);
  process("20", "4:memory:/docker/" + kId + "\n");
  const auto versions = inspect_cgroups(proc_);
  EXPECT_FALSE(versions.v2_mounted);
  EXPECT_NE(what_is_unsupported(versions).find("version 1 only"), std::string::npos);
}

TEST_F(CgroupVersionsOf, hybrid_leave_out_containers_of_runtimes_that_use_v1) {
  mounts(kHybridMounts);
  process("1", "4:memory:/\n0::/init.scope\n");
  process("20", "4:memory:/docker/" + kId + "\n1:name=systemd:/docker/" + kId +
                    "\n0::/system.slice/docker.service\n");
  process("21", "4:memory:/docker/" + kId + "\n0::/system.slice/docker.service\n");
  process("22", "4:memory:/docker/" + kOther + "\n0::/\n");
  const auto versions = inspect_cgroups(proc_);
  EXPECT_EQ(versions.containers_without_v2, 2U) << "containers, not processes";
  EXPECT_NE(what_is_unsupported(versions).find("version 2: 2, such as docker "), std::string::npos)
      << what_is_unsupported(versions);
}

TEST_F(CgroupVersionsOf, hybrid_leave_nothing_out_where_runtimes_use_both) {
  mounts(kHybridMounts);
  process("20", "4:memory:/docker/" + kId + "\n0::/docker/" + kId + "\n");
  process("30", "4:memory:/process_api/x\n0::/\n");
  process("40", "");  // gone while we looked
  const auto versions = inspect_cgroups(proc_);
  EXPECT_TRUE(versions.v1_in_use);
  EXPECT_EQ(what_is_unsupported(versions), "");
}

// A network namespace of a thread of this process, with the addresses that `ip` is told to add.
class OwnNamespace {
 public:
  explicit OwnNamespace(const std::vector<std::string>& commands) {
    std::thread([&] {
      if (unshare(CLONE_NEWNET) != 0) return;
      ready_ = std::all_of(commands.begin(), commands.end(),
                           [](const std::string& command) { return system(command.c_str()) == 0; });
      fd_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
  }
  bool ready() const { return ready_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  bool ready_ = false;
  Fd fd_;
};

TEST(NodeAddresses, are_those_of_the_namespace_without_loopback_and_link_local_ones) {
  const OwnNamespace own({"ip link set lo up", "ip address add 10.9.9.9/32 dev lo",
                          "ip link add c0 type veth peer name c1 && ip link set c0 up && ip link set c1 up",
                          "ip address add 192.0.2.7/24 dev c0", "ip address add 169.254.3.4/16 dev c0",
                          "ip address add 2001:db8::7/64 dev c0 nodad",
                          "ip address add 192.0.2.7/32 dev c1"});
  // Unit tests run as whoever builds, who may not be root.
  if (!own.ready()) GTEST_SKIP() << "a network namespace needs root, and ip of iproute2";
  auto addresses = node_addresses(own.path());
  ASSERT_TRUE(addresses) << addresses.error().message;
  std::sort(addresses->begin(), addresses->end());
  EXPECT_EQ(*addresses, (std::vector<std::string>{"192.0.2.7", "2001:db8::7"}));
}

TEST(NodeAddresses, of_a_namespace_that_is_not_there_are_an_error_with_its_path) {
  const auto addresses = node_addresses("/proc/self/ns/none");
  ASSERT_FALSE(addresses);
  EXPECT_NE(addresses.error().message.find("/proc/self/ns/none"), std::string::npos);
}

}  // namespace
}  // namespace cellwall
