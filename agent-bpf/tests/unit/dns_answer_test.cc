// SPDX-License-Identifier: Apache-2.0
#include "dns_answer.h"

#include <gtest/gtest.h>

#include "dns_message.h"
#include "messages.h"

namespace cellwall::test {
namespace {

Message v4_of(const cw_answer_address& address) {
  return {address.address + 12, address.address + 16};
}

std::string turned(std::string name) {
  std::reverse(name.begin(), name.end());
  return name + '\0';
}

// A message with a question for a.b and that many answers, to be written.
DnsWriter answering(uint16_t answers, uint16_t flags = kDnsOk) {
  return DnsWriter(flags, 1, answers).question("a.b", 1);
}

std::string long_name(size_t bytes) {
  std::string name;
  while (name.size() + 50 < bytes) name += std::string(49, 'a') + ".";
  return name + std::string(bytes - name.size(), 'b');
}

TEST(DnsAnswer, takes_the_address_behind_an_alias) {
  const auto read = read_in_kernel(dns_with_alias());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, turned("www.example.com"));
  ASSERT_EQ(read->addresses.size(), 1U);
  EXPECT_EQ(v4_of(read->addresses[0]), (Message{93, 184, 216, 34}));
  EXPECT_EQ(read->addresses[0].address[9], 0);
  EXPECT_EQ(read->addresses[0].address[10], 0xff);
  EXPECT_EQ(read->addresses[0].seconds, 60U + CW_TTL_GRACE);
}

TEST(DnsAnswer, takes_v4_and_v6_addresses_whoever_owns_them) {
  const Message six(16, 0x20);
  const auto read = read_in_kernel(answering(3)
                                       .a("x.y", {1, 2, 3, 4})
                                       .pointer(12)
                                       .record(28, 5, six)
                                       .pointer(4000)
                                       .record(16, 5, {1})
                                       .bytes());
  ASSERT_TRUE(read);
  ASSERT_EQ(read->addresses.size(), 2U);
  EXPECT_EQ(v4_of(read->addresses[0]), (Message{1, 2, 3, 4}));
  EXPECT_EQ(Message(read->addresses[1].address, read->addresses[1].address + 16), six);
}

TEST(DnsAnswer, takes_no_address_of_the_authority_and_additional_sections) {
  DnsWriter writer(kDnsOk, 1, 1);
  writer.question("a.b", 1).a("a.b", {1, 1, 1, 1}).a("ns.b", {2, 2, 2, 2}).a("ns.b", {3, 3, 3, 3});
  Message message = writer.bytes();
  message[9] = message[11] = 1;
  const auto read = read_in_kernel(message);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->addresses.size(), 1U);
}

TEST(DnsAnswer, reads_names_in_mixed_case_as_lower_case) {
  const auto read = read_in_kernel(dns_answer("wWw.eXAMPLE.c0M", {1, 1, 1, 1}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, turned("www.example.c0m"));
}

TEST(DnsAnswer, keeps_times_to_live_within_their_limits_and_adds_the_grace) {
  const struct {
    uint32_t ttl, seconds;
  } cases[] = {{0, 30},      {29, 30},     {30, 30},           {31, 31},
               {3600, 3600}, {3601, 3600}, {0x7fffffff, 3600}, {0x80000000, 30}};
  for (const auto& one : cases) {
    const auto read = read_in_kernel(answering(1).a("a.b", {1, 1, 1, 1}, one.ttl).bytes());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->addresses.at(0).seconds, one.seconds + 60) << one.ttl;
  }
}

TEST(DnsAnswer, takes_64_addresses_and_says_that_there_were_more) {
  for (const uint16_t count : {64, 65}) {
    DnsWriter writer = answering(count);
    for (uint16_t i = 0; i < count; i++)
      writer.pointer(12).record(1, 60, {10, 0, 0, static_cast<uint8_t>(i)});
    const auto read = read_in_kernel(writer.bytes());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->addresses.size(), 64U);
    EXPECT_EQ(read->addresses[63].address[15], 63);
    EXPECT_EQ(read->cut, count > 64);
  }
}

TEST(DnsAnswer, reads_128_records_and_says_that_there_were_more) {
  for (const uint16_t count : {128, 129}) {
    DnsWriter writer = answering(count);
    for (uint16_t i = 1; i < count; i++) writer.pointer(12).record(46, 60, {1});
    writer.pointer(12).record(1, 60, {1, 1, 1, 1});
    const auto read = read_in_kernel(writer.bytes());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->addresses.size(), count > 128 ? 0U : 1U);
    EXPECT_EQ(read->cut, count > 128);
  }
}

TEST(DnsAnswer, reads_the_longest_message_and_none_that_is_longer) {
  Message message = answering(1).a("a.b", {1, 1, 1, 1}).bytes();
  message.resize(CW_ANSWER_MOST, 0xff);
  EXPECT_TRUE(read_in_kernel(message));
  // An address that ends with the last byte.
  DnsWriter last = answering(2);
  const size_t filling = CW_ANSWER_MOST - last.size() - 12 - 28;
  last.pointer(12).record(16, 60, Message(filling, 1)).pointer(12).record(28, 60, Message(16, 7));
  ASSERT_EQ(last.size(), size_t{CW_ANSWER_MOST});
  const auto read = read_in_kernel(last.bytes());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->addresses.at(0).address[15], 7);
}

TEST(DnsAnswer, keeps_the_end_of_a_name_that_is_longer_than_a_key) {
  for (const size_t bytes : {246U, 247U, 248U, 253U}) {
    const std::string name = long_name(bytes);
    const auto read = read_in_kernel(dns_answer(name, {1, 1, 1, 1}));
    ASSERT_TRUE(read) << bytes;
    EXPECT_EQ(read->name, turned(name).substr(0, CW_NAME_BYTES)) << bytes;
  }
  EXPECT_FALSE(read_in_kernel(dns_answer(long_name(254), {1, 1, 1, 1})));
}

TEST(DnsAnswer, learns_nothing_from_what_is_no_good_answer) {
  const auto with = [](uint16_t flags) { return answering(1, flags).a("a.b", {1, 1, 1, 1}).bytes(); };
  const auto asked = [](std::string_view name) { return dns_answer(name, {1, 1, 1, 1}); };
  ASSERT_TRUE(read_in_kernel(with(kDnsOk)));
  ASSERT_TRUE(read_in_kernel(with(kDnsOk | 0x0470))) << "who answers and how well does not matter";
  const struct {
    const char* why;
    Message message;
  } cases[] = {
      {"empty", {}},
      {"head cut", Message(11, 0)},
      {"a question", with(0x0100)},
      {"another operation", with(kDnsOk | 0x2800)},
      {"truncated", with(kDnsOk | 0x0200)},
      {"server failure", with(kDnsOk | 2)},
      {"no such name", with(kDnsOk | 3)},
      {"no question", DnsWriter(kDnsOk, 0, 1).a("a.b", {1, 1, 1, 1}).bytes()},
      {"two questions",
       DnsWriter(kDnsOk, 2, 1).question("a.b", 1).question("a.c", 1).a("a.b", {1, 1, 1, 1}).bytes()},
      {"no answer", answering(0).bytes()},
      {"another class",
       DnsWriter(kDnsOk, 1, 1).name("a.b").number(1, 2).number(3, 2).a("a.b", {1, 1, 1, 1}).bytes()},
      {"the root", asked("")},
      {"a byte that is in no rule", asked("a b")},
      {"a byte beyond ASCII", asked("\xc3\xa4.b")},
      {"a dot in a label", DnsWriter(kDnsOk, 1, 1)
                               .number(3, 1)
                               .number('a' << 16 | '.' << 8 | 'b', 3)
                               .number(0, 1)
                               .number(1, 2)
                               .number(1, 2)
                               .a("a.b", {1, 1, 1, 1})
                               .bytes()},
      {"a zero byte in a label", DnsWriter(kDnsOk, 1, 1)
                                     .number(1, 1)
                                     .number(0, 1)
                                     .number(0, 1)
                                     .number(1, 2)
                                     .number(1, 2)
                                     .a("a.b", {1, 1, 1, 1})
                                     .bytes()},
  };
  for (const auto& one : cases) EXPECT_FALSE(read_in_kernel(one.message)) << one.why;
}

TEST(DnsAnswer, learns_nothing_from_malformed_messages) {
  const Message good = answering(2).a("a.b", {1, 1, 1, 1}).a("a.b", {2, 2, 2, 2}).bytes();
  for (size_t i = 0; i < good.size(); i++)
    EXPECT_FALSE(read_in_kernel(Bytes(good).first(i))) << "cut at " << i;
  std::string many_labels = "a";
  for (int i = 1; i < 128; i++) many_labels += ".a";
  const auto after = [] { return answering(2).a("a.b", {1, 1, 1, 1}); };
  const struct {
    const char* why;
    Message message;
  } cases[] = {
      {"question points to itself",
       DnsWriter(kDnsOk, 1, 1).pointer(12).number(1, 2).number(1, 2).a("a.b", {1, 1, 1, 1}).bytes()},
      {"label of the question of an unknown kind",
       DnsWriter(kDnsOk, 1, 1).number(0x41, 1).labels(std::string(60, 'a')).bytes()},
      {"label of 64 bytes", DnsWriter(kDnsOk, 1, 1).number(64, 1).name(std::string(64, 'a')).bytes()},
      {"more answers than there are", after().bytes()},
      {"pointer cut", after().number(0xc0, 1).bytes()},
      {"label beyond the end", after().number(63, 1).number(0, 4).bytes()},
      {"owner of an unknown kind", after().number(0x80, 1).number(0, 1).record(1, 9, {2, 2, 2, 2}).bytes()},
      {"owner that never ends", after().name(many_labels).record(1, 9, {2, 2, 2, 2}).bytes()},
      {"data beyond the end",
       after().pointer(12).number(1, 2).number(1, 2).number(9, 4).number(0xffff, 2).bytes()},
      {"address of five bytes", after().pointer(12).record(1, 9, {1, 1, 1, 1, 1}).bytes()},
      {"address of no bytes", after().pointer(12).record(1, 9, {}).bytes()},
      {"IPv6 address of four bytes", after().pointer(12).record(28, 9, {1, 1, 1, 1}).bytes()},
  };
  for (const auto& one : cases) EXPECT_FALSE(read_in_kernel(one.message)) << one.why;
}

TEST(DnsAnswer, agrees_with_the_agents_reader_on_answers_that_both_read) {
  for (const auto& [name, sample] : dns_samples()) {
    const auto agent = read_dns_answer(sample);
    const auto kernel = read_in_kernel(sample);
    if (!kernel) continue;
    ASSERT_TRUE(agent) << name;
    EXPECT_EQ(kernel->name, turned(agent->name)) << name;
    for (const Address& address : agent->addresses)
      EXPECT_TRUE(std::any_of(kernel->addresses.begin(), kernel->addresses.end(), [&](const auto& found) {
        return std::equal(address.begin(), address.end(), found.address);
      })) << name;
  }
}

}  // namespace
}  // namespace cellwall::test
