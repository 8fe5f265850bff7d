// SPDX-License-Identifier: Apache-2.0
//
// The engines here are stand-ins: a Unix socket of this process that answers what Docker 20.10 and Podman 4.3
// answered to the same requests. The real ones are asked in test/integration/engines.test.ts.
#include "runtimes.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "engine.h"
#include "fd.h"
#include "http_socket.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr char kDockerList[] = R"([
 {"Id":"c431","Names":["/shop_proxy_1/web","/web1"],"Image":"bb:1","Created":1795580320,"Labels":{"app":"web",
  "com.docker.compose.project":"shop"},"State":"running","HostConfig":{"NetworkMode":"shop_default"},
  "NetworkSettings":{"Networks":{"shop_default":{"IPAddress":"172.18.0.2","GlobalIPv6Address":"fd00::2"}}}},
 {"Id":"d001","Names":["/sidecar"],"Image":"bb:1","Created":1795580321,"Labels":{},"HostConfig":{"NetworkMode":
  "container:c431"},"NetworkSettings":{"Networks":{}}},
 {"Id":"e002","Names":["/k8s_web_web-1_shop_uid_0"],"Image":"bb:1","Created":1,"Labels":{"io.kubernetes.pod.uid":"u"}},
 {"Id":"f003","Names":null,"Labels":null}])";
constexpr char kPodmanList[] = R"([{"Id":"9f16","Names":["/pw"],"Image":"localhost/bb:1","Created":1795580321,
  "Labels":{"app":"pod"},"NetworkSettings":{"Networks":null}},{"Id":"abcd","Names":["/infra-1"],"Image":"",
  "Created":1795580300,"Labels":null,"NetworkSettings":{"Networks":{"podman":{"IPAddress":"10.88.0.9"}}}}])";
constexpr char kPodmanPods[] =
    R"([{"Id":"8a2f","InfraId":"abcd","Name":"shop","Labels":{"tier":"front","app":"x"},
  "Containers":[{"Id":"9f16","Names":"pw"},{"Id":"abcd"},{"Id":"unlisted"}]}])";

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/cellwall-unit-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

class EngineSocket : public Folder {
 protected:
  void serve() {
    server_.set_address_family(AF_UNIX);
    thread_ = std::thread([this] { server_.listen(socket(), 80); });
    while (!server_.is_running()) std::this_thread::sleep_for(1ms);
  }
  void answer(const char* path, const std::string& text) {
    server_.Get(path, [text](const httplib::Request& request, httplib::Response& response) {
      EXPECT_EQ(request.get_header_value("Host"), "localhost");
      response.set_content(text, "application/json");
    });
  }
  void TearDown() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
    Folder::TearDown();
  }
  std::string socket() const { return folder_ + "/engine.sock"; }
  httplib::Server server_;
  std::thread thread_;
};

TEST(EngineList, gives_names_labels_image_and_addresses) {
  const auto listed = parse_engine_list(kDockerList, Engine::kDocker);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 2U) << "those of Kubernetes, and those without a name, are not in";
  const RuntimeContainer& web = listed->at("c431");
  EXPECT_EQ(web.name, "web1") << "not the name by which another container calls it";
  EXPECT_EQ(web.image, "bb:1");
  EXPECT_EQ(web.runtime, "docker");
  EXPECT_EQ(web.namespace_name, "");
  EXPECT_EQ(web.labels.at("com.docker.compose.project"), "shop");
  EXPECT_EQ(web.addresses, (std::vector<std::string>{"172.18.0.2", "fd00::2"}));
  EXPECT_EQ(web.created_us, 1795580320000000U);
}

TEST(EngineList, gives_the_addresses_of_the_container_whose_network_is_shared) {
  const auto listed = parse_engine_list(kDockerList, Engine::kDocker);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->at("d001").addresses, listed->at("c431").addresses);
}

TEST(EngineList, of_podman_tells_pods) {
  auto listed = parse_engine_list(kPodmanList, Engine::kPodman);
  ASSERT_TRUE(listed);
  ASSERT_TRUE(add_podman_pods(kPodmanPods, &*listed));
  const RuntimeContainer& one = listed->at("9f16");
  EXPECT_EQ(one.runtime, "podman");
  EXPECT_EQ(one.pod, "shop");
  EXPECT_EQ(one.labels.at("tier"), "front");
  EXPECT_EQ(one.labels.at("app"), "pod") << "its own label has precedence";
  EXPECT_EQ(listed->at("abcd").name, kSandboxName);
}

TEST(EngineList, of_unexpected_form_is_an_error_or_empty_and_never_the_end) {
  for (const char* text : {"", "{", "null", "{}", "\"x\"", "[}"})
    EXPECT_FALSE(parse_engine_list(text, Engine::kDocker)) << text;
  for (const char* text :
       {"[]", "[1]", "[null]", "[[]]", R"([{"Id":1}])", R"([{"Id":"a","Names":"/x"}])",
        R"([{"Id":"a","Names":[1]}])", R"([{"Id":"a","Names":["/"],"Labels":[],"NetworkSettings":[]}])"}) {
    const auto listed = parse_engine_list(text, Engine::kDocker);
    ASSERT_TRUE(listed) << text;
    EXPECT_LE(listed->size(), 1U) << text;
  }
  RuntimeContainers none;
  for (const char* text :
       {"null", "[]", "[1]", R"([{"Containers":1}])", R"([{"Containers":[1,null]}])", "{}"})
    EXPECT_TRUE(add_podman_pods(text, &none)) << text;
  EXPECT_FALSE(add_podman_pods("{", &none));
}

TEST_F(EngineSocket, is_asked_over_http) {
  answer("/containers/json", kDockerList);
  serve();
  const auto listed = open_engine("unix://" + socket(), Engine::kDocker)->list(1s);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->at("c431").name, "web1");
}

TEST_F(EngineSocket, of_podman_is_asked_for_pods_too) {
  answer("/containers/json", kPodmanList);
  answer("/v4.0.0/libpod/pods/json", kPodmanPods);
  serve();
  const auto listed = open_engine(socket(), Engine::kPodman)->list(1s);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->at("9f16").pod, "shop");
}

TEST_F(EngineSocket, that_answers_with_an_error_is_told_with_its_status) {
  serve();
  const auto listed = open_engine(socket(), Engine::kDocker)->list(1s);
  ASSERT_FALSE(listed);
  EXPECT_NE(listed.error().message.find("HTTP status 404"), std::string::npos) << listed.error().message;
}

TEST_F(Folder, without_a_listener_is_an_error_with_its_path) {
  const auto answer = http_get(folder_ + "/none.sock", "/x", 1s);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find(folder_ + "/none.sock: nobody listens"), std::string::npos)
      << answer.error().message;
}

// A socket that accepts and never answers.
class Hung {
 public:
  explicit Hung(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_.get(), 8), 0);
  }

 private:
  Fd fd_;
};

TEST_F(Folder, with_a_hung_engine_costs_the_deadline_and_no_more) {
  const Hung hung(folder_ + "/hung.sock");
  const auto start = steady_clock::now();
  const auto answer = http_get(folder_ + "/hung.sock", "/x", 200ms);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("no answer within 200 ms"), std::string::npos)
      << answer.error().message;
  EXPECT_LT(steady_clock::now() - start, 2s);
}

RuntimeContainers one(const std::string& id) {
  RuntimeContainer container;
  container.name = "name of " + id;
  return {{id, container}};
}

class FakeRuntime : public Runtime {
 public:
  explicit FakeRuntime(std::function<Result<RuntimeContainers>()> answer) : answer_(std::move(answer)) {}
  Result<RuntimeContainers> list(std::chrono::milliseconds) override { return answer_(); }

 private:
  std::function<Result<RuntimeContainers>()> answer_;
};

RuntimeSource source(const std::string& name, std::function<Result<RuntimeContainers>()> answer) {
  return {name, "--" + name, {"/socket/of/" + name}, true, [answer](const std::string&) {
            return std::make_unique<FakeRuntime>(answer);
          }};
}

TEST(Runtimes, are_all_asked_and_heard) {
  std::atomic<int> notified = 0;
  Runtimes runtimes({source("one", [] { return one("a"); }), source("two", [] { return one("b"); })}, 1s,
                    [&] { notified++; });
  runtimes.ask();
  runtimes.wait(5s);
  EXPECT_EQ(runtimes.take().size(), 2U);
  EXPECT_TRUE(runtimes.take().empty()) << "told once";
}

TEST(Runtimes, that_hang_keep_neither_the_others_nor_the_asker_waiting) {
  std::atomic<bool> release = false;
  const auto hang = [&]() -> Result<RuntimeContainers> {
    while (!release) std::this_thread::sleep_for(1ms);
    return fail("late");
  };
  Runtimes runtimes({source("hung", hang), source("quick", [] { return one("b"); })}, 1s, [] {});
  const auto start = steady_clock::now();
  runtimes.ask();
  EXPECT_LT(steady_clock::now() - start, 500ms);
  std::vector<Listing> listings;
  while (listings.empty() && steady_clock::now() - start < 5s) listings = runtimes.take();
  ASSERT_EQ(listings.size(), 1U);
  EXPECT_EQ(listings[0].source, "quick");
  release = true;
}

TEST(Runtimes, that_are_asked_while_they_answer_answer_again) {
  std::atomic<int> asked = 0;
  std::atomic<bool> release = false;
  const auto answer = [&]() -> Result<RuntimeContainers> {
    asked++;
    while (!release) std::this_thread::sleep_for(1ms);
    return one("a");
  };
  Runtimes runtimes({source("slow", answer)}, 1s, [] {});
  runtimes.ask();
  while (asked == 0) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 10; i++) runtimes.ask();  // ten births while the first answer is made
  release = true;
  runtimes.wait(5s);
  EXPECT_EQ(asked, 2) << "one more answer has all ten";
}

TEST_F(Folder, socket_that_comes_later_is_asked_from_then_on) {
  const std::string socket = folder_ + "/late.sock";
  RuntimeSource late = source("late", [] { return one("a"); });
  late.sockets = {folder_ + "/never.sock", socket};
  late.required = false;
  Runtimes runtimes({late}, 1s, [] {});
  const auto ask = [&] {
    runtimes.ask();
    runtimes.wait(5s);
    return runtimes.take().at(0);
  };
  EXPECT_EQ(ask().socket, "");
  std::ofstream(socket) << "";
  const Listing listing = ask();
  EXPECT_EQ(listing.socket, socket);
  ASSERT_TRUE(listing.containers);
  EXPECT_TRUE(listing.containers->contains("a"));
}

TEST(RuntimeSources, are_what_the_options_say) {
  const auto none = [](const std::string&) { return std::unique_ptr<Runtime>(); };
  const auto sources = runtime_sources({.cri = "unix:///run/a.sock", .docker = "", .podman = "auto"}, none);
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(sources[0].sockets, std::vector<std::string>{"/run/a.sock"});
  EXPECT_TRUE(sources[0].required);
  EXPECT_EQ(sources[1].sockets, std::vector<std::string>{"/run/podman/podman.sock"});
  EXPECT_FALSE(sources[1].required);
}

TEST(NamingAbilities, say_which_runtime_names_and_why_one_does_not) {
  const auto abilities =
      naming_abilities({{"CRI", "--cri-socket", "/run/a.sock", true, RuntimeContainers()},
                        {"Docker", "--docker-socket", "/run/b.sock", true, fail("refused")},
                        {"Podman", "--podman-socket", "", true, RuntimeContainers()}});
  ASSERT_EQ(abilities.size(), 2U);
  EXPECT_TRUE(abilities[0].present);
  EXPECT_FALSE(abilities[1].present);
  EXPECT_NE(abilities[1].consequence.find("refused"), std::string::npos);
  const auto nothing =
      naming_abilities({{"CRI", "--cri-socket", "/run/a.sock", false, fail("unknown service")}});
  ASSERT_EQ(nothing.size(), 1U);
  EXPECT_FALSE(nothing[0].present);
  EXPECT_NE(nothing[0].consequence.find("--docker-socket"), std::string::npos);
}

}  // namespace
}  // namespace cellwall
