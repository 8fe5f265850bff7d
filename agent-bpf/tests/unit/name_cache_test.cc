// SPDX-License-Identifier: Apache-2.0
#include "name_cache.h"

#include <gtest/gtest.h>

#include "looked_up.h"

namespace cellwall::test {
namespace {

TEST(NameCache, names_a_flow_that_began_after_the_answer) {
  NameCache cache;
  cache.add(1, answer("db.shop", {v4(1), v4(2)}), 100 * kSecond);
  EXPECT_EQ(cache.find(1, v4(2), 101 * kSecond), "db.shop");
  EXPECT_EQ(cache.find(1, v4(2), 99 * kSecond), "") << "began before";
  EXPECT_EQ(cache.find(1, v4(2), 0), "") << "the start is unknown";
  EXPECT_EQ(cache.find(1, v4(3), 101 * kSecond), "");
  EXPECT_EQ(cache.find(2, v4(2), 101 * kSecond), "") << "another container asked";
}

TEST(NameCache, an_address_has_the_name_of_the_newest_answer_before_the_flow) {
  NameCache cache;
  cache.add(1, answer("a.cdn", {v4(1)}), 100 * kSecond);
  cache.add(1, answer("b.cdn", {v4(1)}), 110 * kSecond);
  cache.add(1, answer("a.cdn", {v4(1)}), 120 * kSecond);
  EXPECT_EQ(cache.find(1, v4(1), 105 * kSecond), "a.cdn");
  EXPECT_EQ(cache.find(1, v4(1), 115 * kSecond), "b.cdn");
  EXPECT_EQ(cache.find(1, v4(1), 125 * kSecond), "a.cdn");
}

TEST(NameCache, answers_last_for_their_time_to_live_and_the_grace) {
  const struct {
    uint32_t ttl, lasts;
  } cases[] = {{0, NameCache::kMinTtl}, {600, 600}, {86400, NameCache::kMaxTtl}};
  for (const auto& [ttl, lasts] : cases) {
    NameCache cache;
    cache.add(1, answer("db.shop", {v4(1)}, ttl), kSecond);
    const uint64_t end = (1 + lasts + NameCache::kGrace) * kSecond;
    EXPECT_EQ(cache.find(1, v4(1), end), "db.shop") << ttl;
    EXPECT_EQ(cache.find(1, v4(1), end + 1), "") << ttl;
  }
}

TEST(NameCache, a_container_that_asks_for_much_drops_its_own_oldest) {
  NameCache cache({.per_container = 3, .total = 5});
  cache.add(2, answer("quiet", {v4(200)}), kSecond);
  for (uint8_t i = 1; i <= 10; i++) cache.add(1, answer("n" + std::to_string(i), {v4(i)}), i * kSecond);
  EXPECT_EQ(cache.size(), 4U);
  EXPECT_EQ(cache.dropped(), 7U);
  EXPECT_EQ(cache.find(1, v4(10), 20 * kSecond), "n10");
  EXPECT_EQ(cache.find(1, v4(7), 20 * kSecond), "");
  EXPECT_EQ(cache.find(2, v4(200), 20 * kSecond), "quiet") << "not its neighbours'";
  for (uint8_t i = 1; i <= 3; i++) cache.add(3, answer("m", {v4(i)}), i * kSecond);
  EXPECT_EQ(cache.size(), 5U);
  EXPECT_EQ(cache.find(2, v4(200), 20 * kSecond), "quiet");
  cache.forget(1);
  cache.forget(3);
  EXPECT_EQ(cache.size(), 1U);
}

TEST(NameCache, an_answer_that_comes_again_takes_no_more_room) {
  NameCache cache;
  for (uint64_t i = 1; i <= 100; i++) cache.add(1, answer("db.shop", {v4(1)}), i * 10 * kSecond);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(cache.find(1, v4(1), 10 * kSecond), "db.shop") << "a flow that has lasted long";
  EXPECT_EQ(cache.find(1, v4(1), 1000 * kSecond), "db.shop");
  for (uint64_t i = 1; i <= 100; i++)
    cache.add(1, answer("n" + std::to_string(i), {v4(1)}), (1000 + i) * kSecond);
  EXPECT_EQ(cache.size(), NameCache::kNamesPerAddress);
}

}  // namespace
}  // namespace cellwall::test
