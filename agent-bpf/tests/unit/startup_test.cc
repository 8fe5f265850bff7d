// SPDX-License-Identifier: Apache-2.0
#include "startup.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <string>

#include "config.h"
#include "container_ports.h"

namespace cellwall {
namespace {

std::string text_of(const KernelStartupAllow& allow) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  inet_ntop(AF_INET6, allow.address.data(), text.data(), text.size());
  return std::string(text.data()) + " " + std::to_string(allow.protocol) + " " + std::to_string(allow.port);
}

TEST(StartupAllow, takes_addresses_with_and_without_a_port) {
  const auto allowed =
      parse_startup_allow({"10.96.0.1:8443", "10.0.0.2", "fd00::1", "[fd00::2]:6443", "[fd00::3]"});
  ASSERT_TRUE(allowed.has_value()) << allowed.error().message;
  std::vector<std::string> texts;
  for (const auto& allow : *allowed) texts.push_back(text_of(allow));
  EXPECT_EQ(texts, (std::vector<std::string>{"::ffff:10.96.0.1 6 8443", "::ffff:10.0.0.2 6 443",
                                             "::ffff:10.0.0.2 6 6443", "fd00::1 6 443", "fd00::1 6 6443",
                                             "fd00::2 6 6443", "fd00::3 6 443", "fd00::3 6 6443"}));
}

TEST(StartupAllow, refuses_what_is_no_address) {
  for (const std::string wrong :
       {"", "api.example", "api.example:443", "10.0.0", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536",
        "10.0.0.1:x", "10.0.0.1:443x", "[fd00::1", "[fd00::1]443", "[fd00::1]:", "0.0.0.0",
        "::", "::ffff:0.0.0.0", "10.0.0.0/8", "[]:443", ":443"}) {
    const auto allowed = parse_startup_allow({"10.0.0.1", wrong});
    ASSERT_FALSE(allowed.has_value()) << wrong;
    EXPECT_NE(allowed.error().message.find("--startup-allow " + wrong), std::string::npos);
  }
}

TEST(StartupAllow, name_servers_are_reached_at_any_address) {
  std::vector<std::string> texts;
  for (const auto& allow : startup_name_servers()) texts.push_back(text_of(allow));
  EXPECT_EQ(texts, (std::vector<std::string>{":: 17 53", ":: 6 53"}));
}

// said: what a user would see of it.
int read(std::vector<std::string> words, Config* config, std::string* said = nullptr) {
  words.insert(words.begin(), {"cellwall-agent", "--cgroup", "/sys/fs/cgroup/x", "--node", "a"});
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  bool run = false;
  testing::internal::CaptureStderr();
  const int code = read_config(static_cast<int>(arguments.size()), arguments.data(), config, &run);
  const std::string error = testing::internal::GetCapturedStderr();
  if (said) *said = error;
  return run ? 0 : code;
}

TEST(Config, startup_is_allow_unless_it_says_deny) {
  Config config;
  EXPECT_EQ(read({}, &config), 0);
  EXPECT_EQ(config.startup, Startup::kAllow);
  config = {};
  EXPECT_EQ(read({"--startup", "deny", "--startup-allow", "10.0.0.1:443", "10.0.0.2:443"}, &config), 0);
  EXPECT_EQ(config.startup, Startup::kDeny);
  EXPECT_EQ(config.startup_allow.size(), 2U);
  config = {};
  std::string said;
  EXPECT_EQ(read({"--startup", "deny", "--startup-allow", "somewhere"}, &config, &said), kExitUsage);
  EXPECT_TRUE(said.contains("--startup-allow somewhere: give an address")) << said;
  EXPECT_EQ(read({"--startup", "later"}, &config, &said), kExitUsage);
  EXPECT_TRUE(said.contains("later")) << said;
}

TEST(ContainerPorts, with_a_name_are_read) {
  const auto ports = parse_container_ports(
      R"([{"name":"http","containerPort":8080,"protocol":"TCP"},{"containerPort":9},
          {"name":"dns","containerPort":53,"protocol":"UDP"},{"name":"plain","hostPort":1,"containerPort":7}])");
  ASSERT_EQ(ports.size(), 3U);
  EXPECT_EQ(ports[0].name, "http");
  EXPECT_EQ(ports[0].port, 8080U);
  EXPECT_EQ(ports[0].protocol, static_cast<uint32_t>(IPPROTO_TCP));
  EXPECT_EQ(ports[1].protocol, static_cast<uint32_t>(IPPROTO_UDP));
  EXPECT_EQ(ports[2].protocol, static_cast<uint32_t>(IPPROTO_TCP)) << "the default of Kubernetes";
}

TEST(ContainerPorts, that_cannot_be_read_are_left_out) {
  for (const std::string text :
       {"", "{}", "null", "[", "[1,null,[]]", R"([{"name":1,"containerPort":80}])",
        R"([{"name":"a","containerPort":"80"}])", R"([{"name":"a","containerPort":0}])",
        R"([{"name":"a","containerPort":65536}])", R"([{"name":"a","containerPort":-1}])",
        R"([{"name":"a","containerPort":1.5}])", R"([{"name":"a","containerPort":80,"protocol":"X"}])",
        R"([{"name":"","containerPort":80}])"})
    EXPECT_TRUE(parse_container_ports(text).empty()) << text;
  EXPECT_TRUE(parse_container_ports("[" + std::string(100'000, ' ') + "]").empty());
  std::string many = "[";
  for (int i = 0; i < 1000; i++) many += R"({"name":"a","containerPort":80},)";
  many.back() = ']';
  EXPECT_EQ(parse_container_ports(many).size(), 256U);
}

}  // namespace
}  // namespace cellwall
