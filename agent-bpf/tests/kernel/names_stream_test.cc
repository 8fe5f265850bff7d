// SPDX-License-Identifier: Apache-2.0
//
// Answers over TCP: where messages begin has to be known.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "names_fixture.h"

namespace cellwall::test {
namespace {

// Sends these segments to whoever connects and asks something, each when the one before has arrived.
class SegmentServer {
 public:
  explicit SegmentServer(std::vector<Message> segments)
      : server_(SOCK_STREAM, kResolver, 53), segments_(std::move(segments)), thread_([this] { serve(); }) {}
  ~SegmentServer() { thread_.join(); }

 private:
  void serve() {
    const int fd = accept4(server_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    char query[512];
    (void)recv(fd, query, sizeof(query), 0);
    for (const Message& segment : segments_) {
      (void)send(fd, segment.data(), segment.size(), MSG_NOSIGNAL);
      char taken;
      (void)recv(fd, &taken, 1, 0);
    }
    close(fd);
  }

  Server server_;
  std::vector<Message> segments_;
  std::thread thread_;
};

class NamesStream : public NamesTest {
 protected:
  // Web asks, takes all these segments, and tells the server each time.
  int take(const std::vector<Message>& segments) {
    SegmentServer server(segments);
    return run_in(web_, [&] {
      const int fd = make_socket(kResolver, SOCK_STREAM);
      const timeval patience = {.tv_sec = 3, .tv_usec = 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      if (tcp_try(fd, kResolver, 53) != 0 || send(fd, "ask", 3, MSG_NOSIGNAL) != 3) return 1;
      for (const Message& segment : segments) {
        std::vector<char> bytes(segment.size());
        if (recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) != static_cast<ssize_t>(bytes.size())) return 2;
        if (send(fd, "x", 1, MSG_NOSIGNAL) != 1) return 3;
      }
      close(fd);
      return 0;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(, NamesStream, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

Message answer(uint8_t last) {
  return framed(dns_answer("api.example.com", {127, 4, 0, last}));
}

Message joined(const std::vector<Message>& parts) {
  Message all;
  for (const Message& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// An answer to another question, of so many bytes, which end with the data.
Message text_answer(size_t bytes, const Message& data) {
  DnsWriter head(kDnsOk, 1, 1);
  head.question("evil.org", 16);
  const size_t filling = bytes - 2 - head.size() - 12 - data.size();
  Message text(filling, 'x');
  text.insert(text.end(), data.begin(), data.end());
  return framed(head.pointer(12).record(16, 60, text).bytes());
}

TEST_P(NamesStream, learns_from_each_whole_message_of_each_segment) {
  accept({"api.example.com"});
  EXPECT_EQ(take({answer(1), joined({answer(2), answer(3)}), answer(4)}), 0);
  for (int i = 1; i <= 4; i++) EXPECT_EQ(reach("127.4.0." + std::to_string(i)), 0) << i;
  EXPECT_EQ(count(CW_COUNT_NAMES_PARTIAL), 0U);
}

TEST_P(NamesStream, a_message_in_two_segments_is_counted_and_the_next_one_is_learned) {
  accept({"api.example.com"});
  Message first = answer(1);
  const Message rest(first.begin() + 20, first.end());
  first.resize(20);
  EXPECT_EQ(take({joined({answer(2), first}), joined({rest, answer(3)}), answer(4)}), 0);
  EXPECT_EQ(reach("127.4.0.1"), EPERM);
  for (int i = 2; i <= 4; i++) EXPECT_EQ(reach("127.4.0." + std::to_string(i)), 0) << i;
  EXPECT_EQ(count(CW_COUNT_NAMES_PARTIAL), 1U);
}

TEST_P(NamesStream, a_length_alone_is_followed_by_its_message) {
  accept({"api.example.com"});
  const Message whole = answer(1);
  EXPECT_EQ(
      take({Message(whole.begin(), whole.begin() + 2), Message(whole.begin() + 2, whole.end()), answer(2)}),
      0);
  EXPECT_EQ(reach("127.4.0.1"), EPERM);
  EXPECT_EQ(reach("127.4.0.2"), 0);
}

TEST_P(NamesStream, nothing_more_is_learned_when_half_a_length_came) {
  accept({"api.example.com"});
  const Message whole = answer(1);
  EXPECT_EQ(
      take({Message(whole.begin(), whole.begin() + 1), Message(whole.begin() + 1, whole.end()), answer(2)}),
      0);
  EXPECT_TRUE(learned().empty());
  EXPECT_GE(count(CW_COUNT_NAMES_PARTIAL), 3U);
}

TEST_P(NamesStream, data_at_the_beginning_of_a_segment_is_no_message) {
  accept({"api.example.com"});
  const Message forged = answer(66);
  const Message whole = text_answer(3000, forged);
  const auto cut = whole.end() - static_cast<ptrdiff_t>(forged.size());
  EXPECT_EQ(take({Message(whole.begin(), cut), Message(cut, whole.end()), answer(1)}), 0);
  EXPECT_EQ(reach("127.4.0.66"), EPERM);
  EXPECT_EQ(reach("127.4.0.1"), 0) << "the message after it was found";
}

TEST_P(NamesStream, a_message_that_is_too_long_is_counted_and_skipped) {
  accept({"api.example.com"});
  EXPECT_EQ(take({joined({text_answer(5000, {}), answer(1)})}), 0);
  EXPECT_EQ(reach("127.4.0.1"), 0);
  EXPECT_EQ(count(CW_COUNT_NAMES_PARTIAL), 1U);
}

TEST_P(NamesStream, what_follows_more_messages_than_are_read_teaches_nothing) {
  accept({"api.example.com"});
  std::vector<Message> nine;
  for (uint8_t i = 1; i <= 9; i++) nine.push_back(answer(i));
  EXPECT_EQ(take({joined(nine), answer(10)}), 0);
  EXPECT_EQ(learned().size(), 8U);
  EXPECT_EQ(count(CW_COUNT_NAMES_PARTIAL), 2U);
}

TEST_P(NamesStream, a_connection_older_than_the_programs_teaches_nothing) {
  accept({});
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(web_)).has_value());
  Signal taken;
  // The first answer goes by before web learns.
  SegmentServer server({answer(1), answer(2)});
  Signal go;
  Child client(web_, [&] {
    const int fd = make_socket(kResolver, SOCK_STREAM);
    char bytes[512];
    if (tcp_try(fd, kResolver, 53) != 0 || send(fd, "ask", 3, MSG_NOSIGNAL) != 3) return 1;
    if (recv(fd, bytes, answer(1).size(), MSG_WAITALL) <= 0) return 2;
    taken.give();
    if (!go.wait() || send(fd, "x", 1, MSG_NOSIGNAL) != 1) return 3;
    if (recv(fd, bytes, answer(2).size(), MSG_WAITALL) <= 0) return 4;
    (void)send(fd, "x", 1, MSG_NOSIGNAL);
    return 0;
  });
  ASSERT_TRUE(taken.wait());
  accept({"api.example.com"});
  go.give();
  EXPECT_EQ(client.join(), 0);
  EXPECT_TRUE(learned().empty());
  EXPECT_EQ(count(CW_COUNT_NAMES_PARTIAL), 1U);
}

}  // namespace
}  // namespace cellwall::test
