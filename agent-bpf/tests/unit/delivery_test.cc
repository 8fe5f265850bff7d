// SPDX-License-Identifier: Apache-2.0
#include "delivery.h"

#include <gtest/gtest.h>

#include <random>

#include "delivery_fixture.h"

namespace cellwall::test {
namespace {

TEST(Delivery, holds_a_batch_back_until_it_is_full_or_old) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  Server server;
  agent.delivery.connected(0, 32);
  for (uint64_t i = 1; i <= 20; i++) ring.produce(event_of(i));
  agent.pass(10ms);
  agent.deliver_all(server);
  EXPECT_EQ(server.stored().size(), 16U);
  agent.pass(200ms);
  agent.deliver_all(server);
  EXPECT_EQ(server.stored().size(), 16U);
  agent.pass(100ms);
  agent.deliver_all(server);
  EXPECT_EQ(server.stored().size(), 20U);
  EXPECT_TRUE(agent.delivery.idle());
}

TEST(Delivery, sends_denials_soon) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  Server server;
  agent.delivery.connected(0, 32);
  ring.produce(event_of(1, CW_DENIED));
  agent.pass(1ms);
  agent.pass(20ms);
  agent.deliver_all(server);
  EXPECT_EQ(server.stored().size(), 1U);
}

TEST(Delivery, keeps_within_the_window) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  agent.delivery.connected(0, 2);
  for (uint64_t i = 1; i <= 100; i++) ring.produce(event_of(i));
  agent.pass(1ms);
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
  EXPECT_EQ(agent.delivery.next_to_send(), nullptr);
  agent.delivery.acknowledged(1);
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
}

TEST(Delivery, gives_space_back_only_when_acknowledged) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  agent.delivery.connected(0, 32);
  for (uint64_t i = 1; i <= 32; i++) ring.produce(event_of(i));
  agent.pass(1ms);
  while (agent.delivery.next_to_send()) continue;
  EXPECT_EQ(agent.reader.released_index(), 0U);
  agent.delivery.acknowledged(1);
  EXPECT_EQ(agent.reader.released_index(), 16U);
  agent.delivery.acknowledged(2);
  EXPECT_EQ(agent.reader.released_index(), 32U);
}

TEST(Delivery, leaves_events_in_the_ring_while_the_server_is_away) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  for (uint64_t i = 1; i <= 100; i++) ring.produce(event_of(i));
  agent.pass(10s);
  EXPECT_EQ(agent.delivery.queue_bytes(), 0U);
  EXPECT_EQ(agent.reader.released_index(), 0U);
  for (uint64_t i = 101; i <= 300; i++) ring.produce(event_of(i));
  agent.pass(10s);
  EXPECT_GT(agent.delivery.queue_bytes(), 0U) << "more than half full: they are taken into memory";
  EXPECT_EQ(agent.reader.released_index(), 300U);
  Server server;
  agent.delivery.connected(0, 32);
  agent.pass(1s);
  agent.deliver_all(server);
  EXPECT_EQ(server.stored().size(), 300U);
  EXPECT_EQ(server.lost(), 0U);
}

TEST(Delivery, drops_the_oldest_when_the_queue_is_full_and_the_hole_says_how_many) {
  FakeRing ring(kRingBytes);
  DeliveryLimits limits = small();
  limits.queue_bytes = 64 << 10;
  Agent agent(ring, limits);
  Server server;
  uint64_t made = 0;
  for (int round = 0; round < 50; round++) {
    while (ring.produce(event_of(made + 1))) made++;
    agent.pass(10ms);
  }
  EXPECT_GT(agent.delivery.dropped_events(), 0U);
  EXPECT_LE(agent.delivery.queue_bytes(), limits.queue_bytes);
  agent.delivery.connected(0, 32);
  agent.pass(1s);
  agent.deliver_all(server);
  EXPECT_EQ(server.holes(v1::LOSS_REASON_QUEUE_FULL), server.lost());
  EXPECT_EQ(server.count() + server.lost(), made);
}

TEST(Delivery, what_died_with_an_agent_is_reported_before_anything_else) {
  FakeRing ring(kRingBytes);
  Server server;
  uint64_t made = 0;
  {
    Agent first(ring, small());
    while (ring.produce(event_of(made + 1))) made++;
    first.pass(1s);  // crowded: taken into memory, given back to the kernel
    ASSERT_EQ(first.reader.released_index(), made);
  }
  const uint64_t died = made;
  Agent second(ring, small());
  second.delivery.connected(0, 32);
  second.pass(1s);
  second.deliver_all(server);
  EXPECT_EQ(server.holes(v1::LOSS_REASON_AGENT_RESTART), died) << "though no event has followed";
  ring.produce(event_of(++made));
  second.pass(1s);
  second.pass(1s);
  second.deliver_all(server);
  EXPECT_EQ(server.stored(), (std::vector<uint64_t>{made}));
  EXPECT_EQ(server.lost(), died);
}

TEST(Delivery, forgets_status_that_a_broken_stream_has_made_stale) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  agent.delivery.connected(0, 32);
  agent.delivery.offer(std::make_unique<v1::StreamRequest>());
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
  agent.delivery.disconnected();
  agent.delivery.connected(0, 32);
  EXPECT_EQ(agent.delivery.next_to_send(), nullptr);
}

TEST(Delivery, tells_which_status_has_arrived) {
  FakeRing ring(kRingBytes);
  Agent agent(ring, small());
  agent.delivery.offer(std::make_unique<v1::StreamRequest>(), 3);
  agent.delivery.connected(0, 32);
  EXPECT_EQ(agent.delivery.next_to_send(), nullptr) << "offered while nobody listened";
  agent.delivery.offer(std::make_unique<v1::StreamRequest>(), 4);
  agent.delivery.offer(std::make_unique<v1::StreamRequest>(), 5);
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
  EXPECT_EQ(agent.delivery.next_to_send(), nullptr) << "the newer one took its place";
  EXPECT_EQ(agent.delivery.acknowledged_mark(), 0U);
  agent.delivery.disconnected();
  agent.delivery.connected(0, 32);
  agent.delivery.acknowledged(1);
  EXPECT_EQ(agent.delivery.acknowledged_mark(), 0U) << "it was lost with its stream";
  agent.delivery.offer(std::make_unique<v1::StreamRequest>(), 6);
  EXPECT_NE(agent.delivery.next_to_send(), nullptr);
  agent.delivery.offer(std::make_unique<v1::StreamRequest>());
  agent.delivery.acknowledged(1);
  EXPECT_EQ(agent.delivery.acknowledged_mark(), 6U);
}

// Streams break, agents die, servers commit without the agent hearing of it, the ring and the queue overflow.
TEST(Delivery, every_event_is_stored_once_or_counted_lost_whatever_happens) {
  for (uint32_t seed = 1; seed <= 100; seed++) {
    std::mt19937 random(seed);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    FakeRing ring(kRingBytes);
    DeliveryLimits limits = small();
    limits.queue_bytes = 128 << 10;
    Server server;
    auto agent = std::make_unique<Agent>(ring, limits);
    bool connected = false;
    uint64_t made = 0, ring_full = 0;
    std::vector<uint64_t> unheard;  // sequences which were committed and not acknowledged
    for (int round = 0; round < 200; round++) {
      for (int i = static_cast<int>(random() % 120); i > 0; i--) {
        if (ring.produce(event_of(made + ring_full + 1, chance(5) ? CW_DENIED : CW_ALLOWED)))
          made++;
        else
          ring_full++;
      }
      if (chance(3)) {
        agent = std::make_unique<Agent>(ring, limits);
        connected = false;
      }
      if (connected && chance(5)) {
        agent->delivery.disconnected();
        connected = false;
      } else if (!connected && chance(20)) {
        agent->delivery.connected(server.committed(), 4);
        connected = true;
        unheard.clear();
      }
      agent->pass(std::chrono::milliseconds(random() % 200));
      if (!connected) continue;
      while (const auto message = agent->delivery.next_to_send()) {
        if (chance(10)) break;  // sent, and lost with the stream
        server.commit(message->flows());
        unheard.push_back(message->flows().sequence());
      }
      if (!unheard.empty() && chance(60)) {
        agent->delivery.acknowledged(unheard.back());
        unheard.clear();
      }
      if (chance(5)) {
        agent->delivery.disconnected();
        connected = false;
      }
    }
    if (connected) agent->delivery.disconnected();
    agent->delivery.connected(server.committed(), 32);
    for (int i = 0; i < 3; i++) {
      agent->pass(1s);
      agent->deliver_all(server);
    }
    ASSERT_EQ(server.count() + server.lost(), made) << "seed " << seed;
    ASSERT_EQ(server.overlaps() + server.broken(), 0U) << "seed " << seed;
    ASSERT_EQ(server.committed(), made) << "seed " << seed;
    for (size_t i = 1; i < server.stored().size(); i++)
      ASSERT_LT(server.stored()[i - 1], server.stored()[i]) << "twice or out of order, seed " << seed;
  }
}

}  // namespace
}  // namespace cellwall::test
