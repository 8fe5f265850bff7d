// SPDX-License-Identifier: Apache-2.0
#include "store_binding.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace cellwall {
namespace {

class StoreBindingTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_), nullptr); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  StoreBinding open(const std::string& accepted = "") {
    return StoreBinding(std::string(directory_) + "/store", accepted);
  }

 private:
  char directory_[32] = "/tmp/cellwall-store-XXXXXX";
};

TEST_F(StoreBindingTest, keeps_to_the_store_whose_rule_sets_are_in_force) {
  StoreBinding binding = open();
  EXPECT_FALSE(binding.welcome("a", "").value());
  ASSERT_TRUE(binding.applied().has_value());
  EXPECT_FALSE(open().welcome("a", "").value());
  const auto other = open().welcome("b", "");
  ASSERT_FALSE(other.has_value());
  EXPECT_TRUE(other.error().message.contains("--accept-store b"));
  EXPECT_FALSE(open().welcome("", "").has_value()) << "an older server does not say which it has";
}

TEST_F(StoreBindingTest, takes_another_store_when_somebody_says_so_once) {
  StoreBinding binding = open();
  ASSERT_TRUE(binding.welcome("a", "").has_value());
  ASSERT_TRUE(binding.applied().has_value());
  StoreBinding accepting = open("b");
  EXPECT_TRUE(accepting.welcome("b", "").value());
  EXPECT_TRUE(open("b").welcome("b", "").value()) << "nothing of it was in force yet";
  ASSERT_TRUE(accepting.applied().has_value());
  EXPECT_FALSE(open("b").welcome("b", "").value());
  EXPECT_TRUE(open().welcome("c", "c").value()) << "by enrolling with it";
}

TEST_F(StoreBindingTest, binds_to_nothing_before_rule_sets_are_in_force) {
  EXPECT_FALSE(open().welcome("a", "").value());
  EXPECT_FALSE(open().welcome("b", "").value());
}

}  // namespace
}  // namespace cellwall
