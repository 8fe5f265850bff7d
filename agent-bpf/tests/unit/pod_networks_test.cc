// SPDX-License-Identifier: Apache-2.0
#include "pod_networks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime.h"

namespace cellwall {
namespace {

namespace fs = std::filesystem;

TEST(NameServers, are_those_of_the_file_and_one_is_always_asked) {
  using Found = std::vector<Address>;
  const auto v4 = *parse_address("10.96.0.10"), v6 = *parse_address("fe80::1");
  EXPECT_EQ(parse_name_servers("# nameserver 1.2.3.4\nsearch shop\nnameserver 10.96.0.10\n"), Found{v4});
  EXPECT_EQ(parse_name_servers("nameserver\t10.96.0.10\nnameserver fe80::1%eth0"), (Found{v4, v6}));
  EXPECT_EQ(parse_name_servers("nameserver nonsense\n"), Found{*parse_address("127.0.0.1")});
  std::string many;
  for (int i = 0; i < 100; i++) many += "nameserver 10.0.0." + std::to_string(i) + "\n";
  EXPECT_EQ(parse_name_servers(many).size(), 8U);
}

TEST(NameServers, of_loopback_are_told_apart) {
  EXPECT_TRUE(is_loopback(*parse_address("127.0.0.11")));
  EXPECT_TRUE(is_loopback(*parse_address("::1")));
  EXPECT_FALSE(is_loopback(*parse_address("10.127.0.1")));
  EXPECT_FALSE(is_loopback(*parse_address("fd00::1")));
}

class Networks : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/cellwall-networks-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  void TearDown() override { fs::remove_all(root_); }

  const v1::Container& add(uint64_t id, const std::string& name) {
    const std::string number = std::to_string(id);
    containers_.born({.id = id, .path = "/" + number, .identity = {"containerd", number, "uid", 0}}, now_);
    RuntimeContainer listed;
    listed.name = name;
    listed.pod_uid = "uid";
    containers_.name({{number, listed}}, now_);
    fs::create_directories(root_ + "/" + number);
    return containers_.all().at(id);
  }
  // A process of the container; *number: of its network namespace.
  void run(uint64_t id, const std::string& pid, const std::string& server, uint32_t* number) {
    const std::string process = root_ + "/proc/" + pid;
    fs::create_directories(process + "/ns");
    const std::string its_root = process + "/root";  // the root directory that the process sees
    fs::create_directories(its_root + "/etc");
    std::ofstream(process + "/ns/net") << "";
    std::ofstream(its_root + "/etc/resolv.conf") << "nameserver " + server + "\n";
    std::ofstream(root_ + "/" + std::to_string(id) + "/cgroup.procs") << pid << "\n";
    struct stat info = {};
    ASSERT_EQ(stat((process + "/ns/net").c_str(), &info), 0);
    *number = static_cast<uint32_t>(info.st_ino);
  }

  std::string root_;
  Containers containers_;
  Containers::Time now_ = std::chrono::steady_clock::now();
};

TEST_F(Networks, are_looked_at_through_the_sandbox_and_stay_what_they_were) {
  PodNetworks networks(
      containers_, [this](const std::string& path) { return root_ + path; }, root_ + "/proc");
  const v1::Container& web = add(7, "web");
  EXPECT_EQ(networks.of(web), nullptr) << "no process yet";
  uint32_t of_web = 0, of_sandbox = 0;
  run(7, "70", "192.0.2.1", &of_web);
  add(8, kSandboxName);
  run(8, "80", "10.96.0.10", &of_sandbox);
  const PodNetwork* found = networks.of(containers_.all().at(7));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->number, of_sandbox);
  EXPECT_EQ(found->name_servers, std::vector<Address>{*parse_address("10.96.0.10")});
  // The container writes another server into its file.
  run(8, "80", "192.0.2.66", &of_sandbox);
  EXPECT_EQ(networks.of(containers_.all().at(7))->name_servers[0], *parse_address("10.96.0.10"));
}

TEST_F(Networks, of_a_container_alone_are_its_own_and_go_with_it) {
  PodNetworks networks(
      containers_, [this](const std::string& path) { return root_ + path; }, root_ + "/proc");
  add(7, "web");
  uint32_t number = 0;
  run(7, "70", "127.0.0.11", &number);
  ASSERT_NE(networks.of(containers_.all().at(7)), nullptr);
  EXPECT_EQ(networks.all().size(), 1U);
  containers_.died(7, now_);
  networks.forget();
  EXPECT_TRUE(networks.all().empty());
}

}  // namespace
}  // namespace cellwall
