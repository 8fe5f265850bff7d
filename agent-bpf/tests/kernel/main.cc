// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "fixture.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  cellwall::test::enter_own_namespaces();
  return RUN_ALL_TESTS();
}
