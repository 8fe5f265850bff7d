// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include "fixture.h"

namespace {

// A test that hangs ends the process, and with it its children and namespaces. An emulated machine takes ten
// times as long.
class TimeLimit : public ::testing::EmptyTestEventListener {
  static constexpr unsigned kSeconds = 240;
  void OnTestStart(const ::testing::TestInfo&) override { alarm(kSeconds); }
  void OnTestEnd(const ::testing::TestInfo&) override { alarm(0); }
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new TimeLimit);
  cellwall::test::enter_own_namespaces();
  return RUN_ALL_TESTS();
}
