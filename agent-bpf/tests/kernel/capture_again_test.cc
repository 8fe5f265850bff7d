// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdlib>

#include "capture_fixture.h"

namespace cellwall::test {
namespace {

class CaptureAgain : public CaptureTest {};
INSTANTIATE_TEST_SUITE_P(, CaptureAgain, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

// The network of the tests loses what the rule says until it is allowed again.
class Loss {
 public:
  explicit Loss(const std::string& rule) {
    made_ =
        std::system(
            ("nft add table inet loss && nft 'add chain inet loss in { type filter hook input priority 0; }' "
             "&& nft add rule inet loss in " +
             rule + " drop")
                .c_str()) == 0;
  }
  ~Loss() { end(); }
  bool made() const { return made_; }
  void end() {
    if (made_ && !ended_) (void)!std::system("nft delete table inet loss");
    ended_ = true;
  }

 private:
  bool made_ = false, ended_ = false;
};

int retransmits(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? static_cast<int>(info.tcpi_total_retrans)
                                                                  : -1;
}

TEST_P(CaptureAgain, takes_a_payload_that_is_sent_again_once) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  Server server(SOCK_STREAM, "10.7.0.1");
  std::thread answers = answer_one(server, 1);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", server.port()) != 0) return 1;
                     Loss loss("tcp dport " + std::to_string(server.port()));
                     if (!loss.made() || !send_text(fd, "ping-0")) return 2;
                     usleep(700000);
                     loss.end();
                     if (!receive(fd)) return 3;
                     return retransmits(fd) > 0 ? 0 : 4;
                   }),
            0);
  answers.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(CaptureAgain, takes_a_payload_that_is_received_again_once) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 1, false, &port);
  const int fd = make_socket("10.7.0.1", SOCK_STREAM);
  ASSERT_EQ(tcp_try(fd, "10.7.0.1", port), 0);
  Loss loss("tcp sport " + std::to_string(port));
  ASSERT_TRUE(loss.made());
  ASSERT_TRUE(send_text(fd, "ping-0"));
  usleep(700000);
  loss.end();
  EXPECT_TRUE(receive(fd));
  EXPECT_GT(retransmits(fd), 0);
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(CaptureAgain, takes_the_segment_that_was_sent_first_though_another_overtook_it) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 1, false, &port);
  const int fd = make_socket("10.7.0.1", SOCK_STREAM);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  ASSERT_EQ(tcp_try(fd, "10.7.0.1", port), 0);
  Loss loss("tcp dport " + std::to_string(port));
  ASSERT_TRUE(loss.made());
  ASSERT_TRUE(send_text(fd, "first!"));
  loss.end();
  ASSERT_TRUE(send_text(fd, "second"));
  EXPECT_TRUE(receive(fd));
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_GE(found.size(), 1U);
  EXPECT_EQ(found[0].payload.substr(0, 6), "first!");
  EXPECT_EQ(found[0].head.outgoing, 0);
}

TEST_P(CaptureAgain, takes_an_answer_of_a_name_server_that_is_received_again_once) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_STREAM, "10.7.0.1", 53);
  std::thread answers = answer_one(server, 2);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", 53) != 0) return 1;
                     // Bare acknowledgements are lost, so the server sends its answer again.
                     Loss loss("tcp dport 53 meta length 52");
                     if (!loss.made() || !send_text(fd, "ping-0") || !receive(fd)) return 2;
                     usleep(700000);
                     return 0;
                   }),
            0);
  answers.join();
  EXPECT_EQ(captures().size(), 1U);
}

// Data in the SYN: the first connection gets a cookie for it, the second uses it.
TEST_P(CaptureAgain, takes_the_payload_of_fast_open_once) {
  start();
  const std::string web = container("web"), db = container("db");
  observe(web, kPayload);
  observe(db, kPayload);
  ASSERT_EQ(std::system("echo 3 >/proc/sys/net/ipv4/tcp_fastopen"), 0);
  for (int round = 0; round < 2; round++) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    std::thread serving([&] {
      run_in(db, [&] {
        Server server(SOCK_STREAM, "10.7.0.1", 4100);
        const int queue = 8;
        setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
        (void)!write(ready[1], "x", 1);
        answer_one(server, 1).join();
        return 0;
      });
    });
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(
        run_in(web,
               [&] {
                 const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                 sockaddr_in to = {
                     .sin_family = AF_INET, .sin_port = htons(4100), .sin_addr = {}, .sin_zero = {}};
                 to.sin_addr.s_addr = htonl(0x0a070001);
                 if (sendto(fd, "ping-0", 6, MSG_FASTOPEN, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 6)
                   return 1;
                 tcp_info info = {};
                 socklen_t size = sizeof(info);
                 if (!receive(fd)) return 2;
                 getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
                 return round == 0 || (info.tcpi_options & TCPI_OPT_SYN_DATA) ? 0 : 3;
               }),
        0);
    serving.join();
    int seen[2][2] = {};  // by side and direction
    for (const auto& each : captures()) {
      seen[each.head.began][each.head.outgoing]++;
      EXPECT_EQ(each.payload, each.head.began == each.head.outgoing ? "ping-0" : "pong-0");
    }
    for (const auto& side : seen) {
      EXPECT_EQ(side[0], 1) << round;
      EXPECT_EQ(side[1], 1) << round;
    }
  }
}

// A page that is not there until it is given, so that who reads it in the kernel waits, with all that it has
// locked.
class LatePage {
 public:
  LatePage() : fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))) {
    size_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    page_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register range = {.range = {.start = reinterpret_cast<uintptr_t>(page_), .len = size_},
                             .mode = UFFDIO_REGISTER_MODE_MISSING,
                             .ioctls = 0};
    made_ = fd_ >= 0 && page_ != MAP_FAILED && ioctl(fd_, UFFDIO_API, &api) == 0 &&
            ioctl(fd_, UFFDIO_REGISTER, &range) == 0;
  }
  ~LatePage() {
    munmap(page_, size_);
    close(fd_);
  }
  LatePage(const LatePage&) = delete;
  LatePage& operator=(const LatePage&) = delete;
  bool made() const { return made_; }
  void* address() const { return page_; }
  // Until somebody waits for it.
  bool wanted() const {
    uffd_msg message = {};
    return ::read(fd_, &message, sizeof(message)) == sizeof(message) && message.event == UFFD_EVENT_PAGEFAULT;
  }
  bool give(const void* content, size_t bytes) {
    std::vector<char> page(size_);
    std::memcpy(page.data(), content, bytes);
    uffdio_copy copy = {.dst = reinterpret_cast<uintptr_t>(page_),
                        .src = reinterpret_cast<uintptr_t>(page.data()),
                        .len = size_,
                        .mode = 0,
                        .copy = 0};
    return ioctl(fd_, UFFDIO_COPY, &copy) == 0;
  }

 private:
  int fd_;
  void* page_ = nullptr;
  size_t size_ = 0;
  bool made_ = false;
};

// The client is inside the kernel with its socket when the server's answer to its SYN and the first data
// behind it arrive. The kernel reads a filter with the socket locked, which makes that last as long as the
// test likes.
TEST_P(CaptureAgain, takes_data_that_came_with_the_answer_to_a_syn_while_the_socket_was_locked) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  // Both ends, without cookies (RFC 7413, 4.1.3; Documentation/networking/ip-sysctl.rst).
  ASSERT_EQ(std::system("echo 0x207 >/proc/sys/net/ipv4/tcp_fastopen"), 0);
  Server server(SOCK_STREAM, "10.7.0.1");
  const int queue = 8;
  ASSERT_EQ(setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)), 0);
  std::thread answers([&] {
    const int fd = accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (receive(fd)) {
      // The answer to the SYN was lost; the next is a second behind it.
      usleep(2500000);
      (void)send_text(fd, "pong-0");
    }
    close(fd);
  });
  EXPECT_EQ(
      run_in(web,
             [&] {
               LatePage late;
               if (!late.made()) return 1;
               Loss loss("tcp sport " + std::to_string(server.port()));
               const int fd = make_socket("10.7.0.1", SOCK_STREAM);
               sockaddr_in to = {
                   .sin_family = AF_INET, .sin_port = htons(server.port()), .sin_addr = {}, .sin_zero = {}};
               to.sin_addr.s_addr = htonl(0x0a070001);
               if (!loss.made() || sendto(fd, "ping-0", 6, MSG_FASTOPEN | MSG_DONTWAIT,
                                          reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 6)
                 return 2;
               std::thread inside([&] {
                 sock_fprog all = {.len = 1, .filter = static_cast<sock_filter*>(late.address())};
                 setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all));
               });
               const bool locked = late.wanted();
               loss.end();
               usleep(3000000);
               const sock_filter accept = BPF_STMT(BPF_RET | BPF_K, 0xffff);
               const bool given = late.give(&accept, sizeof(accept));
               inside.join();
               if (!locked || !given) return 3;
               return receive(fd) ? 0 : 4;
             }),
      0);
  answers.join();
  const auto found = captures();
  // Sent again while the socket is still locked, it is taken again: the socket does not know that it has it.
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
  EXPECT_EQ(found[1].head.began, 1);
  EXPECT_EQ(found[1].head.outgoing, 0);
}

}  // namespace
}  // namespace cellwall::test
