// SPDX-License-Identifier: Apache-2.0
#include "state_file.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace cellwall {
namespace {

TEST(StateFile, gives_back_what_was_saved_last) {
  char directory[] = "/tmp/cellwall-state-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const StateFile file(std::string(directory) + "/below/rule-sets");
  EXPECT_EQ(file.load().value(), "");
  ASSERT_TRUE(file.save("one").has_value());
  ASSERT_TRUE(file.save(std::string("two\0three", 9)).has_value());
  EXPECT_EQ(file.load().value(), std::string("two\0three", 9));
  EXPECT_FALSE(StateFile("/proc/nowhere/file").save("x").has_value());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace cellwall
