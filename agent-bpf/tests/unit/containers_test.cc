// SPDX-License-Identifier: Apache-2.0
#include "containers.h"

#include <gtest/gtest.h>

namespace cellwall {
namespace {

using namespace std::chrono_literals;

const Containers::Time kNow = Containers::Time() + 1h;

ContainerCgroup cgroup(uint64_t id, const std::string& runtime_id, const std::string& pod_uid) {
  return {.id = id, .path = "/x/" + runtime_id, .identity = {"unknown", runtime_id, pod_uid, 0}};
}

RuntimeContainers listed() {
  RuntimeContainer nginx;
  nginx.runtime = "containerd";
  nginx.name = "nginx";
  nginx.namespace_name = "shop";
  nginx.pod = "web";
  nginx.labels = {{"app", "web"}};
  nginx.addresses = {"10.0.0.4"};
  return {{"aaaa", nginx}};
}

std::string name_in(const v1::ContainersUpdate& update, uint64_t id) {
  for (const auto& container : update.upserted()) {
    if (container.cgroup_id() == id) return container.name();
  }
  return "(not there)";
}

bool removes(const v1::ContainersUpdate& update, uint64_t id) {
  return std::find(update.removed().begin(), update.removed().end(), id) != update.removed().end();
}

TEST(Containers, are_named_when_the_runtime_tells_and_only_then) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  EXPECT_EQ(containers.all().at(1).name(), "") << "in a pod, a guess would stay in the records";
  EXPECT_TRUE(containers.expects_names(kNow));
  EXPECT_EQ(containers.name(listed(), kNow), std::vector<uint64_t>{1});
  EXPECT_FALSE(containers.expects_names(kNow));
  EXPECT_EQ(containers.all().at(1).name(), "nginx");
  EXPECT_EQ(containers.all().at(1).runtime(), "containerd") << "the path did not tell";
  EXPECT_TRUE(containers.name(listed(), kNow).empty()) << "nothing new";
}

TEST(Containers, have_the_ports_that_the_runtime_tells) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  RuntimeContainers with_port = listed();
  with_port.at("aaaa").ports = {{"http", 6, 8080}};
  containers.name(with_port, kNow);
  ASSERT_EQ(containers.all().at(1).ports_size(), 1);
  EXPECT_EQ(containers.all().at(1).ports(0).name(), "http");
  EXPECT_EQ(containers.all().at(1).ports(0).protocol(), 6U);
  EXPECT_EQ(containers.all().at(1).ports(0).port(), 8080U);
  EXPECT_TRUE(containers.name(with_port, kNow).empty()) << "nothing new";
  EXPECT_EQ(containers.name(listed(), kNow), std::vector<uint64_t>{1}) << "they can go";
  EXPECT_EQ(containers.all().at(1).ports_size(), 0);
}

TEST(Containers, are_named_by_a_runtime_not_by_a_guess) {
  Containers containers;
  containers.born(cgroup(1, "0123456789abcdef", ""), kNow);
  EXPECT_FALSE(containers.named(1));
  containers.recall(containers.all().at(1));
  EXPECT_FALSE(containers.named(1)) << "the agent before guessed too";
  RuntimeContainer nginx;
  nginx.name = "nginx";
  nginx.image = "nginx:1";
  containers.name({{"0123456789abcdef", nginx}}, kNow);
  EXPECT_TRUE(containers.named(1));
  const v1::Container known = containers.all().at(1);
  Containers next;
  next.born(cgroup(1, "0123456789abcdef", ""), kNow);
  next.recall(known);
  EXPECT_TRUE(next.named(1));
  next.died(1, kNow);
  EXPECT_FALSE(next.named(1));
}

TEST(Containers, outside_a_pod_have_the_short_runtime_id_for_a_name) {
  Containers containers;
  containers.born(cgroup(1, "0123456789abcdef", ""), kNow);
  EXPECT_EQ(containers.all().at(1).name(), "0123456789ab");
}

TEST(Containers, that_were_listed_before_their_birth_are_named_at_birth) {
  Containers containers;
  containers.name(listed(), kNow);
  containers.born(cgroup(1, "aaaa", "uid"), kNow + 1s);
  EXPECT_EQ(containers.all().at(1).name(), "nginx");
}

TEST(Containers, that_were_listed_long_ago_are_not_named_by_that) {
  Containers containers;
  containers.name(listed(), kNow);
  containers.forget(kNow + 10min);
  containers.born(cgroup(1, "aaaa", "uid"), kNow + 10min);
  EXPECT_EQ(containers.all().at(1).name(), "");
}

TEST(Containers, that_die_before_they_are_told_of_are_told_with_their_removal) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.name(listed(), kNow);
  containers.died(1, kNow);
  const auto update = containers.take_changes();
  EXPECT_EQ(name_in(update, 1), "nginx");
  EXPECT_TRUE(removes(update, 1));
  EXPECT_FALSE(containers.changed());
  EXPECT_EQ(containers.count(), 0U);
}

TEST(Containers, that_died_without_a_name_get_one_that_comes_late) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.died(1, kNow);
  EXPECT_EQ(name_in(containers.take_changes(), 1), "");
  EXPECT_TRUE(containers.expects_names(kNow));
  EXPECT_TRUE(containers.name(listed(), kNow).empty()) << "no policy is to be chosen for it";
  const auto update = containers.take_changes();
  EXPECT_EQ(name_in(update, 1), "nginx");
  EXPECT_TRUE(removes(update, 1)) << "or the server would take it for alive";
  EXPECT_FALSE(containers.expects_names(kNow));
  ASSERT_NE(containers.find(1), nullptr);
  EXPECT_EQ(containers.find(1)->addresses(0), "10.0.0.4");
}

TEST(Containers, that_died_are_in_what_a_new_connection_is_told_first) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.name(listed(), kNow);
  (void)containers.take_changes();  // lost on the way
  containers.died(1, kNow);
  const auto update = containers.complete();
  EXPECT_EQ(name_in(update, 1), "nginx");
  EXPECT_TRUE(removes(update, 1));
}

TEST(Containers, that_died_are_forgotten_after_a_while) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.died(1, kNow);
  (void)containers.take_changes();
  EXPECT_FALSE(containers.expects_names(kNow + 30s)) << "no runtime lists it any more";
  containers.forget(kNow + 10min);
  EXPECT_EQ(containers.find(1), nullptr);
}

TEST(Containers, that_died_are_counted_when_too_many_are_remembered) {
  constexpr uint64_t kMany = 5000;
  Containers containers;
  for (uint64_t id = 1; id <= kMany; id++) {
    containers.born(cgroup(id, std::to_string(id), "uid"), kNow);
    containers.died(id, kNow);
  }
  const auto update = containers.take_changes();
  EXPECT_EQ(static_cast<uint64_t>(update.upserted_size()) + containers.forgotten(), kMany);
  EXPECT_EQ(static_cast<uint64_t>(update.removed_size()), kMany);
  EXPECT_GT(containers.forgotten(), 0U);
}

TEST(Containers, are_asked_for_until_they_have_an_address_but_not_for_ever) {
  auto without = listed();
  without.at("aaaa").addresses.clear();
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.name(without, kNow);
  EXPECT_TRUE(containers.expects_names(kNow));
  EXPECT_FALSE(containers.expects_names(kNow + 30s)) << "it may have none of its own";
  containers.name(listed(), kNow);
  EXPECT_FALSE(containers.expects_names(kNow));
  containers.name(without, kNow);
  EXPECT_EQ(containers.all().at(1).addresses_size(), 1) << "engines list none while a container ends";
}

TEST(Containers, of_two_runtimes_keep_their_names_whichever_is_heard_last) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.born(cgroup(2, "bbbb", ""), kNow);
  RuntimeContainer db;
  db.runtime = "docker";
  db.name = "db";
  for (int round = 0; round < 2; round++) {
    containers.name(listed(), kNow);
    containers.name({{"bbbb", db}}, kNow);
  }
  EXPECT_EQ(containers.all().at(1).name(), "nginx");
  EXPECT_EQ(containers.all().at(2).name(), "db");
  EXPECT_EQ(containers.all().at(2).runtime(), "docker");
}

TEST(Containers, recall_what_the_agent_before_knew) {
  Containers before, after;
  before.born(cgroup(1, "aaaa", "uid"), kNow);
  before.name(listed(), kNow);
  after.born(cgroup(1, "aaaa", "uid"), kNow);
  after.born(cgroup(2, "bbbb", "uid"), kNow);
  const v1::ContainersUpdate known = before.complete();
  for (const auto& container : known.upserted()) after.recall(container);
  EXPECT_EQ(after.all().at(1).name(), "nginx");
  EXPECT_EQ(after.all().at(2).name(), "");
  v1::Container reused = before.all().at(1);
  reused.set_cgroup_id(2);
  after.recall(reused);
  EXPECT_EQ(after.all().at(2).name(), "") << "another container with that cgroup id";
}

TEST(Containers, tell_changes_once) {
  Containers containers;
  containers.born(cgroup(1, "aaaa", "uid"), kNow);
  containers.born(cgroup(2, "bbbb", "uid"), kNow);
  (void)containers.take_changes();
  containers.died(2, kNow);
  const auto second = containers.take_changes();
  EXPECT_EQ(second.upserted_size(), 0);
  EXPECT_EQ(second.removed_size(), 1);
  EXPECT_FALSE(containers.changed());
}

}  // namespace
}  // namespace cellwall
