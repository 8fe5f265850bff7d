// SPDX-License-Identifier: Apache-2.0
#include "status_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <thread>

namespace cellwall::test {
namespace {

class StatusServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = StatusServer::start("127.0.0.1:0");
    ASSERT_TRUE(made.has_value()) << made.error().message;
    server_ = std::move(*made);
  }
  httplib::Result get(const std::string& path) const {
    return httplib::Client("127.0.0.1", server_->port()).Get(path);
  }
  std::unique_ptr<StatusServer> server_;
};

TEST_F(StatusServerTest, is_ready_once_something_was_published) {
  EXPECT_EQ(get("/healthz")->status, 200);
  EXPECT_EQ(get("/readyz")->status, 503);
  EXPECT_EQ(get("/readyz")->body, "starting\n");
  server_->publish({.metrics = "a 1\n# EOF\n", .not_ready = ""});
  EXPECT_EQ(get("/readyz")->status, 200);
  EXPECT_EQ(get("/metrics")->body, "a 1\n# EOF\n");
  EXPECT_EQ(get("/metrics")->get_header_value("Content-Type"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

TEST_F(StatusServerTest, says_why_the_agent_is_not_ready) {
  server_->publish({.metrics = "", .not_ready = "the newest policy is not in force: no room"});
  EXPECT_EQ(get("/readyz")->status, 503);
  EXPECT_EQ(get("/readyz")->body, "the newest policy is not in force: no room\n");
  EXPECT_EQ(get("/healthz")->status, 200) << "a new start would not help";
}

TEST(StatusServerStart, fails_its_probes_while_the_main_loop_does_not_turn) {
  using namespace std::chrono_literals;
  const auto made = StatusServer::start("127.0.0.1:0", 300ms);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  StatusServer& server = **made;
  server.publish({.metrics = "a 1\n", .not_ready = ""});
  const auto get = [&](const char* path) { return httplib::Client("127.0.0.1", server.port()).Get(path); };
  std::this_thread::sleep_for(400ms);
  for (const char* path : {"/healthz", "/readyz"}) {
    EXPECT_EQ(get(path)->status, 503);
    EXPECT_EQ(get(path)->body, "the main loop has not turned for 0 s\n");
  }
  server.turned();
  EXPECT_EQ(get("/healthz")->status, 200);
  EXPECT_EQ(get("/readyz")->status, 200);
}

TEST_F(StatusServerTest, knows_nothing_else) {
  EXPECT_EQ(get("/")->status, 404);
  EXPECT_EQ(httplib::Client("127.0.0.1", server_->port()).Post("/metrics", "x", "text/plain")->status, 404);
}

TEST(StatusServerStart, says_where_it_cannot_listen) {
  for (const char* wrong :
       {"", "9100", "127.0.0.1", ":9100", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:"}) {
    const auto made = StatusServer::start(wrong);
    ASSERT_FALSE(made.has_value()) << wrong;
    EXPECT_EQ(made.error().message, "'" + std::string(wrong) + "' is no HOST:PORT");
  }
  const auto elsewhere = StatusServer::start("192.0.2.1:7481");
  ASSERT_FALSE(elsewhere.has_value());
  EXPECT_EQ(elsewhere.error().message,
            "listen on 192.0.2.1:7481: the port is taken, or the address is not of this machine");
}

TEST(StatusServerStart, understands_addresses_in_brackets) {
  const auto made = StatusServer::start("[::1]:0");
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(httplib::Client("::1", (*made)->port()).Get("/healthz")->status, 200);
}

}  // namespace
}  // namespace cellwall::test
