// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cellwall::test {
namespace {

constexpr char kPrefix[] = "cellwall-kernel-test-";

void must(bool good, const std::string& what) {
  if (good) return;
  std::perror(what.c_str());
  std::exit(1);
}

void remove_tree(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.is_directory(ignored)) remove_tree(entry.path());
  }
  rmdir(directory.c_str());
}

// What an earlier run left when it crashed. The name ends in the number of its process: other runs that go on
// beside this one keep theirs.
void remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(cgroup2_mount(), ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const int owner = std::atoi(name.substr(name.rfind('-') + 1).c_str());
    if (owner <= 0 || kill(owner, 0) != 0) remove_tree(entry.path());
  }
}

}  // namespace

std::string cgroup2_mount() {
  std::ifstream mounts("/proc/self/mounts");
  std::string device, directory, type, rest;
  while (mounts >> device >> directory >> type && std::getline(mounts, rest)) {
    if (type == "cgroup2") return directory;
  }
  return "";
}

void enter_own_namespaces() {
  must(!cgroup2_mount().empty(), "find a cgroup v2 mount");
  must(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare (the kernel tests need root)");
  // The root of a chroot is no mount.
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 || errno == EINVAL,
       "make mounts private");
  // What is sent to 203.0.113.0/24 comes back through loopback and is dropped there: a connect times out.
  must(std::system("ip link set lo up && ip addr add 10.7.0.1/24 dev lo && ip addr add 10.7.0.2/24 dev lo && "
                   "ip -6 addr add fd07::1/64 dev lo nodad && ip route add 203.0.113.0/24 dev lo") == 0,
       "set up loopback");
  remove_leftovers();
}

uint64_t cgroup_id(const std::string& directory) {
  struct stat info = {};
  stat(directory.c_str(), &info);
  return info.st_ino;
}

std::array<uint8_t, 16> address(const std::string& text) {
  std::array<uint8_t, 16> bytes = {};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  bytes[10] = bytes[11] = 0xff;
  inet_pton(AF_INET, text.c_str(), bytes.data() + 12);
  return bytes;
}

std::string text_of(const uint8_t address[16]) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(address));
  return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, text, sizeof(text));
}

void KernelTest::SetUp() {
  char directory[] = "/tmp/cellwall-kernel-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  mount_ = directory;
  ASSERT_EQ(mount("bpf", directory, "bpf", 0, nullptr), 0);
  pins_ = mount_ + "/pins";
  root_ =
      cgroup2_mount() + "/" + kPrefix + mount_.substr(mount_.rfind('-') + 1) + "-" + std::to_string(getpid());
  ASSERT_EQ(mkdir(root_.c_str(), 0755), 0);
}

void KernelTest::TearDown() {
  kernel_.reset();
  umount2(mount_.c_str(), MNT_DETACH);
  rmdir(mount_.c_str());
  remove_tree(root_);
}

void KernelTest::start(const std::function<void(KernelOptions&)>& change) {
  KernelOptions options;
  options.cgroup = root_;
  options.pin_directory = pins_;
  options.ring_bytes = 1 << 20;
  options.force_fallback = forced_fallback();
  change(options);
  auto kernel = Kernel::open(options);
  ASSERT_TRUE(kernel.has_value()) << kernel.error().message;
  kernel_ = std::move(*kernel);
}

std::vector<cw_event> KernelTest::events() {
  std::vector<cw_event> found;
  uint64_t last = 0;
  kernel_->ring().read(SIZE_MAX, [&](const cw_event& event, uint64_t index) {
    found.push_back(event);
    last = index;
  });
  if (last) kernel_->ring().release(last);
  return found;
}

std::string KernelTest::container(const std::string& name) {
  std::filesystem::create_directories(root_ + "/" + name);
  return root_ + "/" + name;
}

KernelPeer KernelTest::peer(const std::string& network, int prefix, uint32_t class_id) const {
  const int length = network.find(':') == std::string::npos ? prefix + 96 : prefix;
  return {.rule_set = 1,
          .direction = CW_EGRESS,
          .network = address(network),
          .prefix_length = static_cast<uint8_t>(length),
          .class_id = class_id};
}

KernelPeer KernelTest::sender(const std::string& network, int prefix, uint32_t class_id) const {
  KernelPeer made = peer(network, prefix, class_id);
  made.direction = CW_INGRESS;
  return made;
}

void KernelTest::put_in_force(KernelSubject subject, std::vector<KernelPeer> peers,
                              std::vector<KernelPort> ports) {
  KernelPolicy policy;
  policy.generation = ++generation_;
  policy.subjects = {std::move(subject)};
  policy.rules.peers = std::move(peers);
  policy.rules.ports = std::move(ports);
  auto done = kernel_->apply(policy);
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

void KernelTest::enforce(const std::string& cgroup, std::vector<KernelPeer> peers,
                         std::vector<KernelPort> ports) {
  put_in_force({.cgroup = cgroup_id(cgroup), .rule_set = 1, .directory = cgroup}, std::move(peers),
               std::move(ports));
}

void KernelTest::guard(const std::string& cgroup, std::vector<KernelPeer> peers,
                       std::vector<KernelPort> ports, uint32_t more_flags) {
  if (ports.empty()) ports = allow_and_deny_classes();
  put_in_force({.cgroup = cgroup_id(cgroup),
                .rule_set = 1,
                .flags = CW_SUBJECT_GUARDED | more_flags,
                .directory = cgroup},
               std::move(peers), std::move(ports));
}

std::vector<KernelPort> allow_and_deny_classes() {
  return {{.class_id = kClassAllow,
           .protocol = 0,
           .port = 0,
           .port_prefix_length = 0,
           .verdict = CW_ALLOWED,
           .rule = kRuleAllow},
          {.class_id = kClassDeny,
           .protocol = 0,
           .port = 0,
           .port_prefix_length = 0,
           .verdict = CW_DENIED,
           .rule = kRuleDeny}};
}

}  // namespace cellwall::test
