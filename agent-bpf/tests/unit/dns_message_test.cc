// SPDX-License-Identifier: Apache-2.0
#include "dns_message.h"

#include <gtest/gtest.h>

#include "messages.h"

namespace cellwall::test {
namespace {

Address mapped(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

DnsAnswer read(const Message& message) {
  const auto answer = read_dns_answer(message);
  EXPECT_TRUE(answer.has_value());
  return answer.value_or(DnsAnswer{});
}

TEST(DnsMessage, reads_an_answer_that_a_name_server_has_compressed) {
  const DnsAnswer answer = read(dns_with_alias());
  EXPECT_EQ(answer.name, "www.example.com");
  EXPECT_EQ(answer.type, kDnsA);
  EXPECT_EQ(answer.code, kDnsNoError);
  EXPECT_FALSE(answer.truncated);
  EXPECT_TRUE(answer.answered);
  EXPECT_EQ(answer.aliases, std::vector<std::string>{"cdn.example.com"});
  EXPECT_EQ(answer.addresses, std::vector<Address>{mapped(93, 184, 216, 34)});
  EXPECT_EQ(answer.ttl, 60U) << "the smallest of the chain";
}

TEST(DnsMessage, reads_ipv6_addresses) {
  Message address(16, 0);
  address[0] = 0xfd;
  address[15] = 9;
  const DnsAnswer answer =
      read(DnsWriter(kDnsOk, 1, 1).question("six.example", 28).pointer(12).record(28, 5, address).bytes());
  ASSERT_EQ(answer.addresses.size(), 1U);
  EXPECT_EQ(answer.addresses[0][0], 0xfd);
  EXPECT_EQ(answer.addresses[0][15], 9);
}

TEST(DnsMessage, follows_aliases_in_whatever_order_they_come) {
  const DnsAnswer answer = read(DnsWriter(kDnsOk, 1, 3)
                                    .question("a.example", 1)
                                    .a("C.example", {10, 0, 0, 1}, 500)
                                    .alias("b.example", "c.Example", 40)
                                    .alias("A.EXAMPLE", "b.example", 90)
                                    .bytes());
  EXPECT_EQ(answer.addresses, std::vector<Address>{mapped(10, 0, 0, 1)});
  EXPECT_EQ(answer.aliases, (std::vector<std::string>{"b.example", "c.example"}));
  EXPECT_EQ(answer.ttl, 40U);
}

TEST(DnsMessage, ignores_addresses_of_names_that_nobody_asked_for) {
  const DnsAnswer answer = read(DnsWriter(kDnsOk, 1, 4)
                                    .question("shop.example", 1)
                                    .a("bank.example", {6, 6, 6, 6})
                                    .alias("other.example", "more.example")
                                    .a("more.example", {6, 6, 6, 7})
                                    .a("shop.example", {10, 0, 0, 1})
                                    .bytes());
  EXPECT_EQ(answer.addresses, std::vector<Address>{mapped(10, 0, 0, 1)});
}

TEST(DnsMessage, ignores_records_of_another_type_or_class) {
  const Message chaos = DnsWriter(kDnsOk, 1, 2)
                            .question("shop.example", 1)
                            .pointer(12)
                            .number(1, 2)
                            .number(3, 2)
                            .number(60, 4)
                            .number(4, 2)
                            .number(0x06060606, 4)
                            .pointer(12)
                            .record(28, 60, Message(16, 6))
                            .bytes();
  EXPECT_TRUE(read(chaos).addresses.empty());
  EXPECT_FALSE(read(chaos).answered);
}

TEST(DnsMessage, tells_failures_and_empty_answers) {
  EXPECT_EQ(read(dns_failure("nowhere.example", 3)).code, kDnsNameError);
  EXPECT_EQ(read(dns_failure("broken.example", 2)).code, 2);
  const DnsAnswer empty = read(dns_failure("only-six.example", 0));
  EXPECT_EQ(empty.code, kDnsNoError);
  EXPECT_FALSE(empty.answered);
  const DnsAnswer alone =
      read(DnsWriter(kDnsOk, 1, 1).question("a.example", 1).alias("a.example", "b.example").bytes());
  EXPECT_FALSE(alone.answered) << "an alias is no address";
  const DnsAnswer text =
      read(DnsWriter(kDnsOk, 1, 1).question("a.example", 16).pointer(12).record(16, 9, {1, 'x'}).bytes());
  EXPECT_TRUE(text.answered);
}

TEST(DnsMessage, uses_what_fits_of_a_truncated_answer) {
  const DnsAnswer answer = read(DnsWriter(kDnsOk | 0x0200, 1, 9)
                                    .question("big.example", 1)
                                    .a("big.example", {10, 0, 0, 1})
                                    .name("big.example")
                                    .bytes());
  EXPECT_TRUE(answer.truncated);
  EXPECT_EQ(answer.addresses.size(), 1U);
}

TEST(DnsMessage, writes_odd_bytes_of_names_as_numbers) {
  DnsWriter writer(kDnsOk, 1, 0);
  writer.number(5, 1).number('A', 1).number('.', 1).number(0, 1).number(0xff, 1).number('_', 1);
  writer.labels("x-1").number(0, 1).number(1, 2).number(1, 2);
  EXPECT_EQ(read(writer.bytes()).name, "a\\046\\000\\255_.x-1");
  EXPECT_EQ(read(DnsWriter(kDnsOk, 1, 0).question("", 2).bytes()).name, "") << "the root";
}

TEST(DnsMessage, a_time_to_live_that_is_no_number_is_zero) {
  EXPECT_EQ(read(DnsWriter(kDnsOk, 1, 1).question("a.b", 1).a("a.b", {1, 1, 1, 1}, 0x80000001).bytes()).ttl,
            0U);
}

TEST(DnsMessage, ends_alias_loops) {
  const DnsAnswer answer = read(DnsWriter(kDnsOk, 1, 3)
                                    .question("a.b", 1)
                                    .alias("a.b", "c.d")
                                    .alias("c.d", "a.b")
                                    .a("c.d", {10, 0, 0, 1})
                                    .bytes());
  EXPECT_EQ(answer.aliases, std::vector<std::string>{"c.d"});
  EXPECT_EQ(answer.addresses.size(), 1U);
}

TEST(DnsMessage, cuts_long_chains_and_long_lists) {
  DnsWriter chain(kDnsOk, 1, 41), list(kDnsOk, 1, 100);
  chain.question("n0.x", 1);
  for (int i = 0; i < 40; i++)
    chain.alias("n" + std::to_string(i) + ".x", "n" + std::to_string(i + 1) + ".x");
  chain.a("n40.x", {1, 2, 3, 4});
  EXPECT_EQ(read(chain.bytes()).aliases.size(), kMaxDnsAliases);
  EXPECT_TRUE(read(chain.bytes()).addresses.empty());
  list.question("l.x", 1);
  for (uint8_t i = 0; i < 100; i++) list.pointer(12).record(1, 60, {10, 0, 0, i});
  EXPECT_EQ(read(list.bytes()).addresses.size(), kMaxDnsAddresses);
}

DnsWriter answering() {
  DnsWriter writer(kDnsOk, 1, 1);
  writer.question("a.b", 1);
  return writer;
}

TEST(DnsMessage, refuses_malformed_messages) {
  std::string longest(63, 'a');
  longest = longest + "." + longest + "." + longest + "." + std::string(61, 'b');
  const struct {
    const char* why;
    Message message;
  } cases[] = {
      {"empty", {}},
      {"half a header", {0x12, 0x34, 0x81}},
      {"a question", DnsWriter(0x0100, 1, 0).question("a.b", 1).bytes()},
      {"another opcode", DnsWriter(kDnsOk | 0x2800, 1, 0).question("a.b", 1).bytes()},
      {"no question", DnsWriter(kDnsOk, 0, 0).bytes()},
      {"two questions", DnsWriter(kDnsOk, 2, 0).question("a.b", 1).question("c.d", 1).bytes()},
      {"question of another class", DnsWriter(kDnsOk, 1, 0).name("a.b").number(1, 2).number(3, 2).bytes()},
      {"question cut", DnsWriter(kDnsOk, 1, 0).name("a.b").number(1, 2).bytes()},
      {"more records than bytes", DnsWriter(kDnsOk, 1, 2).question("a.b", 1).a("a.b", {1, 1, 1, 1}).bytes()},
      {"name points to itself", DnsWriter(kDnsOk, 1, 0).pointer(12).number(1, 2).number(1, 2).bytes()},
      {"name points forward",
       DnsWriter(kDnsOk, 1, 0).pointer(14).name("a").number(1, 2).number(1, 2).bytes()},
      {"name points into the header", answering().pointer(2).record(1, 9, {1, 1, 1, 1}).bytes()},
      {"names point to each other", answering().pointer(23).record(1, 9, {1, 1, 1, 1}).bytes()},
      {"label goes back to its own name",
       answering().labels("x").pointer(21).record(1, 9, {1, 1, 1, 1}).bytes()},
      {"pointer cut", answering().number(0xc0, 1).bytes()},
      {"label of 64 bytes", DnsWriter(kDnsOk, 1, 0).number(64, 1).name(std::string(64, 'a')).bytes()},
      {"label of an unknown kind", DnsWriter(kDnsOk, 1, 0).number(0x80, 1).number(0, 4).bytes()},
      {"label beyond the end", DnsWriter(kDnsOk, 1, 0).number(9, 1).number(0, 4).bytes()},
      {"name of 256 bytes", DnsWriter(kDnsOk, 1, 0).question(longest + "b", 1).bytes()},
      {"name made too long by a pointer", DnsWriter(kDnsOk, 1, 1)
                                              .question(longest, 1)
                                              .labels("x")
                                              .pointer(12)
                                              .record(1, 9, {1, 1, 1, 1})
                                              .bytes()},
      {"address of five bytes", answering().pointer(12).record(1, 9, {1, 1, 1, 1, 1}).bytes()},
      {"IPv6 address of four bytes", answering().pointer(12).record(28, 9, {1, 1, 1, 1}).bytes()},
      {"alias with bytes behind it", answering().pointer(12).record(5, 9, {1, 'x', 0, 0}).bytes()},
      {"alias cut", answering().pointer(12).record(5, 9, {9, 'x'}).bytes()},
      {"data beyond the end",
       answering().pointer(12).number(1, 2).number(1, 2).number(9, 4).number(400, 2).bytes()},
  };
  for (const auto& one : cases) EXPECT_FALSE(read_dns_answer(one.message).has_value()) << one.why;
  EXPECT_EQ(read(DnsWriter(kDnsOk, 1, 0).question(longest, 1).bytes()).name, longest)
      << "255 bytes are allowed";
}

TEST(DnsMessage, survives_every_cut_and_every_changed_byte) {
  for (const auto& [name, sample] : dns_samples()) {
    for (size_t i = 0; i < sample.size(); i++) {
      Message changed = sample;
      for (int bit = 0; bit < 8; bit++) {
        changed[i] = static_cast<uint8_t>(sample[i] ^ (1 << bit));
        EXPECT_LE(read_dns_answer(changed).value_or(DnsAnswer{}).name.size(), 4U * 255);
      }
      (void)read_dns_answer(Bytes(sample).first(i));
      (void)read_dns_segment(Bytes(sample).first(i));
    }
  }
}

TEST(DnsMessage, reads_several_messages_of_one_segment_and_counts_what_is_split) {
  Message segment = framed(dns_with_alias());
  const Message second = framed(dns_failure("nowhere.example", 3));
  segment.insert(segment.end(), second.begin(), second.end());
  DnsSegment read = read_dns_segment(segment);
  ASSERT_EQ(read.answers.size(), 2U);
  EXPECT_EQ(read.answers[1].name, "nowhere.example");
  EXPECT_EQ(read.unreadable, 0U);
  segment.pop_back();
  read = read_dns_segment(segment);
  EXPECT_EQ(read.answers.size(), 1U);
  EXPECT_EQ(read.unreadable, 1U);
  EXPECT_EQ(read_dns_segment(Message{0}).unreadable, 1U);
}

}  // namespace
}  // namespace cellwall::test
