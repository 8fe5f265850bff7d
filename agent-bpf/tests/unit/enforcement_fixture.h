// SPDX-License-Identifier: Apache-2.0
//
// What the agent decides, with a kernel that remembers what it was told.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "enforcement.h"
#include "fake_kernel.h"
#include "log.h"
#include "rule_sets.h"

namespace cellwall::test {

constexpr uint64_t kWeb = 70, kOther = 71;

class EnforcementTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/cellwall-enforcement-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    set_log_level(LogLevel::kError);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // An agent that starts, with what the one before left in the file and in the kernel.
  Enforcement& start(Startup startup = Startup::kAllow) {
    enforcement_.emplace(
        kernel_, containers_, [this](const std::string& path) { return cgroups_ + path; },
        Enforcement::Options{
            .node = kNode, .file = directory_ + "/rule-sets", .startup = startup, .names = &names_});
    enforcement_->restore();
    return *enforcement_;
  }

  static v1::RuleSetUpdate update(const v1::RuleSets& sets) {
    v1::RuleSetUpdate made;
    made.set_generation(sets.generation());
    made.set_payload(sets.SerializeAsString());
    made.set_digest(digest_of(made.payload()));
    return made;
  }

  void take(const v1::RuleSets& sets) {
    const auto ok = enforcement_->take(update(sets));
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }

  void born(uint64_t id, uint64_t born_ns = 0) {
    const std::string number = std::to_string(id);
    containers_.born({.id = id, .path = "/" + number, .identity = {"unknown", number, "uid", 0}}, now_);
    if (enforcement_) enforcement_->born(id, born_ns, now_);
  }

  void name(uint64_t id, const std::string& name, const std::string& app = "web",
            const std::vector<std::string>& addresses = {}) {
    RuntimeContainer listed;
    listed.name = name;
    listed.namespace_name = "shop";
    listed.pod = "web-1";
    listed.image = "image";
    listed.labels = {{"app", app}};
    listed.addresses = addresses;
    const auto news = containers_.name({{std::to_string(id), listed}}, now_);
    if (enforcement_) enforcement_->known(news, now_);
  }

  uint64_t counter(const std::string& name) const {
    google::protobuf::Map<std::string, uint64_t> counters;
    enforcement_->count(&counters);
    const auto found = counters.find(name);
    EXPECT_NE(found, counters.end()) << name;
    return found == counters.end() ? 0 : found->second;
  }

  void tick(std::chrono::milliseconds later) {
    now_ += later;
    enforcement_->tick(now_);
  }

  std::string directory_;
  std::string cgroups_ = "/cgroup";
  FakeKernel kernel_;
  Containers containers_;
  NameCache names_;
  std::optional<Enforcement> enforcement_;
  Enforcement::Time now_ = std::chrono::steady_clock::now();
};

}  // namespace cellwall::test
