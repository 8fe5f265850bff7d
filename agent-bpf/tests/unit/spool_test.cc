// SPDX-License-Identifier: Apache-2.0
#include "spool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "crc32c.h"
#include "spool_fixture.h"

namespace cellwall::test {
namespace {

using Numbers = std::vector<uint64_t>;

TEST(Crc32c, gives_the_sums_of_the_standard) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xe3069283U);
}

TEST(Spool, gives_back_in_order_what_was_put_in) {
  SpoolDirectory directory;
  auto spool = open_spool(directory);
  for (uint64_t i = 1; i <= 50; i += 10) ASSERT_TRUE(spool->append(record_of(i, 10), false));
  const auto taken = take_all(*spool);
  EXPECT_EQ(firsts(taken), (Numbers{1, 11, 21, 31, 41}));
  EXPECT_EQ(taken[1].record.body, record_of(11, 10).body);
  EXPECT_EQ(taken[1].record.epoch, "boot.1");
  EXPECT_EQ(taken[1].record.last_us, 20'000);
  EXPECT_TRUE(spool->all_taken());
  EXPECT_FALSE(spool->empty());
  spool->rewind();
  EXPECT_EQ(firsts(take_all(*spool)), (Numbers{1, 11, 21, 31, 41}));
}

TEST(Spool, keeps_what_was_not_acknowledged_for_the_next_agent) {
  SpoolDirectory directory;
  {
    auto spool = open_spool(directory);
    for (uint64_t i = 1; i <= 5; i++) ASSERT_TRUE(spool->append(record_of(i, 1), false));
  }
  auto spool = open_spool(directory);
  EXPECT_EQ(spool->last_index("boot.1"), 5U);
  EXPECT_EQ(spool->last_index("boot.2"), 0U);
  ASSERT_TRUE(spool->append(record_of(1, 1, 100, "boot.2"), false));
  const auto taken = take_all(*spool);
  EXPECT_EQ(firsts(taken), (Numbers{1, 2, 3, 4, 5, 1}));
  EXPECT_EQ(taken.back().record.epoch, "boot.2");
}

TEST(Spool, removes_files_when_all_of_them_was_acknowledged) {
  SpoolDirectory directory;
  auto spool = open_spool(directory, 4 << 20);  // segments of 64 KiB
  for (uint64_t i = 1; i <= 20; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
  const size_t before = directory.files().size();
  ASSERT_GT(before, 2U);
  auto taken = take_all(*spool);
  spool->acknowledged(taken[9].place);
  EXPECT_LT(directory.files().size(), before);
  spool->rewind();
  EXPECT_EQ(firsts(take_all(*spool)).front(), 11U) << "in the middle of a segment";
  spool->acknowledged(taken.back().place);
  EXPECT_TRUE(spool->empty());
  EXPECT_EQ(spool->bytes(), 0U);
  EXPECT_TRUE(directory.files().empty());
  ASSERT_TRUE(spool->append(record_of(21, 1), false));
  EXPECT_EQ(firsts(take_all(*spool)), (Numbers{21}));
}

TEST(Spool, passes_over_what_the_caller_has_already) {
  SpoolDirectory directory;
  auto spool = open_spool(directory);
  const auto first = spool->append(record_of(1, 1), true);
  ASSERT_TRUE(first);
  ASSERT_TRUE(spool->append(record_of(2, 1), false));
  EXPECT_EQ(firsts(take_all(*spool)), (Numbers{2}));
  spool->rewind();
  EXPECT_EQ(firsts(take_all(*spool)), (Numbers{1, 2})) << "the stream broke";
}

TEST(Spool, cuts_a_torn_end_wherever_it_was_torn) {
  SpoolDirectory directory;
  {
    auto spool = open_spool(directory);
    for (uint64_t i = 1; i <= 3; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 40), false));
  }
  const std::string file = directory.files().at(0);
  const std::string whole = read_file(file);
  const size_t last = whole.size() - encode(record_of(3, 1, 40)).size();
  for (size_t length = last; length < whole.size(); length++) {
    write_file(file, whole.substr(0, length));
    auto spool = open_spool(directory);
    EXPECT_EQ(spool->was_cut(), length > last) << length;
    EXPECT_EQ(spool->last_index("boot.1"), 2U);
    EXPECT_EQ(std::filesystem::file_size(file), last);
    ASSERT_TRUE(spool->append(record_of(3, 1, 40), false));
    const auto taken = take_all(*spool);
    ASSERT_EQ(firsts(taken), (Numbers{1, 2, 3})) << "torn at " << length;
    EXPECT_EQ(taken[2].hole, SpoolHole::kNone);
    std::filesystem::remove(directory.files().at(1));
  }
}

TEST(Spool, passes_over_any_damaged_byte_to_the_next_good_record) {
  SpoolDirectory directory;
  {
    auto spool = open_spool(directory);
    for (uint64_t i = 1; i <= 4; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 40), false));
  }
  const std::string file = directory.files().at(0);
  const std::string whole = read_file(file);
  const size_t size = encode(record_of(1, 1, 40)).size();
  ASSERT_EQ(whole.size(), kSpoolMark.size() + 4 * size);
  for (size_t at = kSpoolMark.size() + size; at < kSpoolMark.size() + 2 * size; at++) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    write_file(file, damaged);
    auto spool = open_spool(directory);
    const auto taken = take_all(*spool);
    ASSERT_EQ(firsts(taken), (Numbers{1, 3, 4})) << "byte " << at;
    EXPECT_EQ(taken[1].hole, SpoolHole::kDamaged);
    EXPECT_EQ(taken[2].hole, SpoolHole::kNone);
    EXPECT_EQ(spool->counters().damaged_places, 1U);
    spool->acknowledged(taken.back().place);
    EXPECT_TRUE(directory.files().empty());
  }
}

TEST(Spool, ends_with_a_damaged_last_record) {
  SpoolDirectory directory;
  {
    auto spool = open_spool(directory);
    for (uint64_t i = 1; i <= 2; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 40), false));
  }
  const std::string file = directory.files().at(0);
  std::string damaged = read_file(file);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  auto spool = open_spool(directory);  // its end was good when it was opened
  write_file(file, damaged);
  auto taken = take_all(*spool);
  EXPECT_EQ(firsts(taken), (Numbers{1}));
  EXPECT_TRUE(spool->all_taken());
  spool->acknowledged(taken[0].place);
  EXPECT_TRUE(spool->empty()) << "nothing of it would ever be acknowledged";
  EXPECT_TRUE(directory.files().empty());
}

TEST(Spool, leaves_files_alone_that_are_not_its_own) {
  SpoolDirectory directory;
  for (const std::string name : {"README", "1.spool", "00000000x1.spool", "0000000001.spool.bak"})
    write_file(directory.path() + "/" + name, "mine");
  write_file(directory.path() + "/7.spool.new", "left by a rewriting that was broken off");
  std::filesystem::create_directory(directory.path() + "/0000000009.spool");
  auto spool = open_spool(directory);
  ASSERT_TRUE(spool->append(record_of(1, 1), false));
  auto taken = take_all(*spool);
  EXPECT_EQ(firsts(taken), (Numbers{1}));
  spool->acknowledged(taken[0].place);
  EXPECT_EQ(directory.files().size(), 5U);
  EXPECT_EQ(read_file(directory.path() + "/1.spool"), "mine");
}

TEST(Spool, stays_within_its_limit_and_drops_the_oldest) {
  SpoolDirectory directory;
  auto spool = open_spool(directory, 1 << 20);
  const uint64_t records = 500;
  for (uint64_t i = 1; i <= records; i++) {
    ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
    ASSERT_LE(spool->bytes(), 1U << 20);
    ASSERT_EQ(spool->bytes(), directory.bytes());
  }
  const auto taken = take_all(*spool);
  ASSERT_FALSE(taken.empty());
  const uint64_t first = taken.front().record.first;
  EXPECT_GT(first, 300U);
  EXPECT_EQ(taken.size(), records - first + 1) << "one run, to the newest";
  EXPECT_EQ(taken.front().hole, SpoolHole::kFull);
  EXPECT_EQ(taken.front().hole_first_us, 1000) << "the hole has a time";
  EXPECT_EQ(taken.front().hole_last_us, static_cast<int64_t>(first - 1) * 1000);
  EXPECT_EQ(spool->counters().dropped_events, first - 1);
  auto next = open_spool(directory, 1 << 20);
  EXPECT_EQ(next->take()->hole, SpoolHole::kFull) << "an agent after it knows, too";
}

TEST(Spool, keeps_the_names_of_what_it_drops) {
  SpoolDirectory directory;
  auto spool = open_spool(directory, 1 << 20);
  SpoolRecord names = record_of(0, 1, 200);
  names.kind = SpoolKind::kContainers;
  names.last = 0;
  ASSERT_TRUE(spool->append(names, false));
  for (uint64_t i = 1; i <= 300; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
  const auto taken = take_all(*spool);
  EXPECT_EQ(taken[0].record.kind, SpoolKind::kContainers);
  EXPECT_EQ(taken[1].hole, SpoolHole::kFull);
}

TEST(Spool, makes_room_by_merging_everything_before_leaving_anything_out) {
  SpoolDirectory directory;
  std::vector<int> levels;
  auto spool = std::move(*Spool::open(directory.path(), 1 << 20, [&](SpoolRecord* record, SpoolLevel level) {
    levels.push_back(level);
    record->body.resize(level == kSpoolMerged ? 4000 : level == kSpoolShed ? 1000 : 100);
  }));
  for (uint64_t i = 1; i <= 150; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
  EXPECT_EQ(std::set(levels.begin(), levels.end()), (std::set<int>{kSpoolMerged}));
  EXPECT_EQ(take_all(*spool).size(), 150U);
  spool->rewind();
  for (uint64_t i = 151; i <= 600; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
  EXPECT_EQ(levels.back() >= kSpoolMerged, true);
  EXPECT_TRUE(std::find(levels.begin(), levels.end(), kSpoolShed) != levels.end());
  EXPECT_TRUE(std::find(levels.begin(), levels.end(), kSpoolRefusals) == levels.end());
  EXPECT_EQ(take_all(*spool).size(), 600U) << "nothing had to be dropped";
  spool->rewind();
  for (uint64_t i = 601; i <= 2000; i++) ASSERT_TRUE(spool->append(record_of(i, 1, 10'000), false));
  EXPECT_TRUE(std::find(levels.begin(), levels.end(), kSpoolRefusals) != levels.end());
  EXPECT_EQ(take_all(*spool).size(), 2000U) << "refusals go last";
  EXPECT_EQ(spool->counters().dropped_events, 0U);
}

TEST(Spool, rewrites_nothing_that_a_server_may_have_in_other_batches) {
  SpoolDirectory directory;
  auto spool = std::move(*Spool::open(directory.path(), 1 << 20,
                                      [&](SpoolRecord* record, SpoolLevel) { record->body.resize(10); }));
  for (uint64_t i = 1; i <= 120; i++) {
    SpoolRecord record = record_of(i, 1, 10'000);
    record.fixed = true;
    ASSERT_TRUE(spool->append(record, false));
  }
  for (const auto& spooled : take_all(*spool)) EXPECT_EQ(spooled.record.body.size(), 10'000U);
}

TEST(Spool, on_a_full_disk_it_says_so_and_goes_on_when_there_is_room) {
  SpoolDirectory directory;
  ASSERT_EQ(mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=256k"), 0)
      << "tests of the spool need root: " << strerror(errno);
  {
    auto spool = open_spool(directory);
    uint64_t written = 0;
    Result<SpoolPlace> place = spool->append(record_of(++written, 1, 10'000), false);
    while (place && written < 100) place = spool->append(record_of(++written, 1, 10'000), false);
    ASSERT_FALSE(place);
    EXPECT_NE(place.error().message.find("No space left"), std::string::npos) << place.error().message;
    EXPECT_EQ(spool->batches(), --written);
    auto taken = take_all(*spool);
    EXPECT_EQ(taken.size(), written) << "nothing of the one that did not fit";
    EXPECT_EQ(spool->counters().damaged_places, 0U);
    spool->acknowledged(taken.back().place);
    spool->flush();  // closes what waits to be written to disk
    ASSERT_TRUE(spool->append(record_of(written + 1, 1, 10'000), false));
    EXPECT_EQ(firsts(take_all(*spool)), (Numbers{written + 1}));
  }
}

TEST(Spool, refuses_a_directory_that_is_none) {
  SpoolDirectory directory;
  write_file(directory.path() + "/file", "");
  const auto spool = Spool::open(directory.path() + "/file", 1 << 20, [](SpoolRecord*, SpoolLevel) {});
  ASSERT_FALSE(spool);
  EXPECT_NE(spool.error().message.find(directory.path()), std::string::npos);
}

}  // namespace
}  // namespace cellwall::test
