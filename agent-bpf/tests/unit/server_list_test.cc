// SPDX-License-Identifier: Apache-2.0
#include "server_list.h"

#include <gtest/gtest.h>

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;

TEST(ServerList, reads_addresses_and_the_names_of_their_certificates) {
  const auto servers = parse_servers("a.example:7480,[::1]:7481,unix:/run/c.sock", "");
  ASSERT_TRUE(servers);
  ASSERT_EQ(servers->size(), 3U);
  EXPECT_EQ((*servers)[1].address, "[::1]:7481");
  EXPECT_EQ((*servers)[1].tls_name, "");
  const auto one_name = parse_servers("10.0.0.1:7480,10.0.0.2:7480", "cellwall");
  EXPECT_EQ((*one_name)[1].tls_name, "cellwall");
  const auto two_names = parse_servers("10.0.0.1:7480,10.0.0.2:7480", "one,two");
  EXPECT_EQ((*two_names)[0].tls_name, "one");
  EXPECT_EQ((*two_names)[1].tls_name, "two");
}

TEST(ServerList, refuses_what_is_no_address_and_says_which) {
  for (const std::string wrong : {"", "a", "a:1,", "a:1,b", ":7480", "a:1,,b:1"})
    EXPECT_FALSE(parse_servers(wrong, ""));
  EXPECT_NE(parse_servers("a:1,here", "").error().message.find("--server here"), std::string::npos);
  EXPECT_FALSE(parse_servers("a:1,b:1,c:1", "one,two"));
}

TEST(Reconnect, tries_the_next_server_at_once_and_pauses_after_the_last) {
  Reconnect reconnect(3, 1);
  EXPECT_EQ(reconnect.server(), 0U);
  EXPECT_EQ(reconnect.ended(false, 0ms), 0ms);
  EXPECT_EQ(reconnect.server(), 1U);
  EXPECT_EQ(reconnect.ended(false, 0ms), 0ms);
  EXPECT_EQ(reconnect.server(), 2U);
  reconnect.ended(false, 0ms);
  EXPECT_EQ(reconnect.server(), 0U);
}

TEST(Reconnect, comes_back_to_the_last_good_one) {
  Reconnect reconnect(2, 1);
  reconnect.ended(false, 0ms);
  EXPECT_EQ(reconnect.ended(true, 60s), 0ms);
  EXPECT_EQ(reconnect.server(), 0U) << "at once";
  reconnect.ended(false, 0ms);
  EXPECT_EQ(reconnect.server(), 1U) << "the last good one, not the first";
}

TEST(Reconnect, draws_pauses_from_nothing_to_a_bound_that_doubles) {
  std::chrono::milliseconds longest[8] = {}, shortest[8];
  std::fill_n(shortest, 8, 1h);
  for (uint32_t seed = 0; seed < 2000; seed++) {
    Reconnect reconnect(1, seed);
    for (int i = 0; i < 8; i++) {
      const auto pause = reconnect.ended(false, 0ms);
      longest[i] = std::max(longest[i], pause);
      shortest[i] = std::min(shortest[i], pause);
    }
  }
  auto bound = Reconnect::kFirstBound;
  for (int i = 0; i < 8; i++) {
    EXPECT_LE(longest[i], bound) << i;
    EXPECT_GT(longest[i], bound * 98 / 100) << i;
    EXPECT_LT(shortest[i], bound * 2 / 100) << i;
    bound = std::min(bound * 2, Reconnect::kLastBound);
  }
}

TEST(Reconnect, pauses_before_a_server_that_welcomes_and_hangs_up) {
  Reconnect reconnect(2, 7);
  std::chrono::milliseconds sum(0);
  for (int i = 0; i < 40; i++) sum += reconnect.ended(true, 5ms);
  EXPECT_GT(sum, 5s);
}

}  // namespace
}  // namespace cellwall::test
