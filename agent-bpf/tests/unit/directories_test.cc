// SPDX-License-Identifier: Apache-2.0
#include "directories.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

namespace cellwall {
namespace {

namespace fs = std::filesystem;

class Directories : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/cellwall-directories-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(Directories, have_what_is_in_them_and_below_up_to_a_limit) {
  fs::create_directories(root_ / "a/b");
  std::ofstream(root_ / "a/file") << "x";
  EXPECT_EQ(entries_of(root_).size(), 1U);
  EXPECT_EQ(entries_below(root_, 100).size(), 3U);
  EXPECT_EQ(entries_below(root_, 2).size(), 2U);
  EXPECT_TRUE(entries_of(root_ / "not there").empty());
}

TEST_F(Directories, that_vanish_meanwhile_are_no_error) {
  std::atomic<bool> done = false;
  std::thread other([&] {
    for (int i = 0; i < 400; i++) {
      std::error_code ignored;
      fs::create_directories(root_ / "pod/a/b/c", ignored);
      fs::remove_all(root_ / "pod", ignored);
    }
    done = true;
  });
  while (!done) {
    EXPECT_NO_THROW(entries_below(root_, 1000));
    EXPECT_NO_THROW(entries_of(root_ / "pod"));
  }
  other.join();
}

}  // namespace
}  // namespace cellwall
