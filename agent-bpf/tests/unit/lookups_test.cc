// SPDX-License-Identifier: Apache-2.0
#include "lookups.h"

#include <gtest/gtest.h>

#include "looked_up.h"

namespace cellwall::test {
namespace {

constexpr uint64_t kMinute = Lookups::kWindowUs;

v1::FlowBatch filled(const Lookups& lookups, uint64_t* mark = nullptr) {
  v1::FlowBatch batch;
  const uint64_t last = lookups.fill(&batch);
  if (mark) *mark = last;
  return batch;
}

TEST(Lookups, counts_by_minute_name_type_and_result) {
  Lookups lookups;
  lookups.add(7, answer("db.shop", {v4(1)}), 5 * kMinute + 1);
  lookups.add(7, answer("db.shop", {v4(2)}), 5 * kMinute + 2);
  lookups.add(7, answer("db.shop", {}), 5 * kMinute + 3);
  lookups.add(7, answer("db.shop", {v4(1)}), 6 * kMinute);
  lookups.add(8, answer("db.shop", {v4(1)}), 5 * kMinute);
  const auto batch = filled(lookups);
  ASSERT_EQ(batch.lookups_size(), 4);
  const v1::Lookup& first = batch.lookups(0);
  EXPECT_EQ(first.cgroup(), 7U);
  EXPECT_EQ(first.window_us(), 5 * kMinute);
  EXPECT_EQ(first.name(), "db.shop");
  EXPECT_EQ(first.type(), 1U);
  EXPECT_EQ(first.result(), v1::LOOKUP_RESULT_ANSWERED);
  EXPECT_EQ(first.count(), 2U);
  ASSERT_EQ(first.addresses_size(), 1) << "of the last answer";
  EXPECT_EQ(first.addresses(0), std::string("\x0a\x00\x00\x02", 4));
  EXPECT_EQ(batch.lookups(1).result(), v1::LOOKUP_RESULT_EMPTY);
}

TEST(Lookups, tell_how_they_were_answered) {
  DnsAnswer one = answer("a", {});
  EXPECT_EQ(lookup_result(one), v1::LOOKUP_RESULT_EMPTY);
  one.code = 3;
  EXPECT_EQ(lookup_result(one), v1::LOOKUP_RESULT_NOT_FOUND);
  one.code = 5;
  EXPECT_EQ(lookup_result(one), v1::LOOKUP_RESULT_FAILED);
  one.truncated = true;
  EXPECT_EQ(lookup_result(one), v1::LOOKUP_RESULT_TRUNCATED);
  EXPECT_EQ(lookup_result(answer("a", {v4(1)})), v1::LOOKUP_RESULT_ANSWERED);
}

TEST(Lookups, are_sent_again_until_acknowledged_and_with_all_of_their_count) {
  Lookups lookups;
  uint64_t mark = 0;
  lookups.add(7, answer("a", {}), kMinute);
  EXPECT_EQ(filled(lookups).lookups_size(), 1);
  EXPECT_EQ(filled(lookups, &mark).lookups_size(), 1) << "the batch before may be lost";
  lookups.add(7, answer("b", {}), kMinute);
  lookups.acknowledged(mark);
  lookups.tick(kMinute + 1);
  EXPECT_EQ(filled(lookups).lookups_size(), 1) << "b alone";
  lookups.add(7, answer("a", {}), kMinute);
  const auto batch = filled(lookups, &mark);
  ASSERT_EQ(batch.lookups_size(), 2);
  EXPECT_EQ(batch.lookups(1).count(), 2U) << "replaces what was sent before";
  lookups.acknowledged(mark);
  EXPECT_EQ(filled(lookups, &mark).lookups_size(), 0);
  EXPECT_EQ(mark, 0U);
  EXPECT_EQ(lookups.size(), 2U) << "the minute is not over";
  lookups.tick(2 * kMinute);
  EXPECT_EQ(lookups.size(), 0U);
}

TEST(Lookups, of_a_minute_that_is_over_stay_until_acknowledged) {
  Lookups lookups({.per_container = 10, .total = 10, .per_batch = 2});
  for (int i = 0; i < 5; i++) lookups.add(7, answer("n" + std::to_string(i), {}), kMinute);
  lookups.tick(9 * kMinute);
  size_t sent = 0;
  for (int round = 0; round < 3; round++) {
    uint64_t mark = 0;
    sent += static_cast<size_t>(filled(lookups, &mark).lookups_size());
    lookups.acknowledged(mark);
    lookups.tick(9 * kMinute);
  }
  EXPECT_EQ(sent, 5U);
  EXPECT_EQ(lookups.size(), 0U);
  EXPECT_EQ(lookups.dropped(), 0U);
}

TEST(Lookups, are_bounded_and_what_is_dropped_is_counted) {
  Lookups lookups({.per_container = 3, .total = 5, .per_batch = 100});
  for (int i = 0; i < 10; i++) lookups.add(1, answer("n" + std::to_string(i), {}), kMinute);
  EXPECT_EQ(lookups.size(), 3U);
  EXPECT_EQ(lookups.dropped(), 7U);
  lookups.add(1, answer("n0", {}), kMinute);
  EXPECT_EQ(lookups.dropped(), 7U) << "what is counted already goes on";
  for (int i = 0; i < 4; i++) lookups.add(2, answer("m" + std::to_string(i), {}), 2 * kMinute);
  EXPECT_EQ(lookups.size(), 5U);
  EXPECT_EQ(lookups.dropped(), 8U + 1) << "m3 is over the quota, the oldest minute gave way to m2";
}

}  // namespace
}  // namespace cellwall::test
