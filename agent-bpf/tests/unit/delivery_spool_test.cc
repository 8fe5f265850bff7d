// SPDX-License-Identifier: Apache-2.0
//
// Delivery with a spool: outages, kills, boots, and too little room.
#include <gtest/gtest.h>

#include <random>

#include "delivery_fixture.h"
#include "spool_fixture.h"

namespace cellwall::test {
namespace {

std::unique_ptr<BatchSpool> open_batches(const SpoolDirectory& directory, size_t limit = 64 << 20,
                                         const std::string& epoch = "boot.1") {
  auto spool = BatchSpool::open({.directory = directory.path(),
                                 .limit_bytes = limit,
                                 .epoch = epoch,
                                 .containers =
                                     [epoch] {
                                       v1::ContainersUpdate all;
                                       auto* container = all.add_upserted();
                                       container->set_cgroup_id(7);
                                       container->set_name("web of " + epoch);
                                       return all;
                                     },
                                 .kernel_losses =
                                     [](v1::FlowBatch* batch) {
                                       auto* loss = batch->add_kernel_losses();
                                       loss->set_reason(v1::LOSS_REASON_RING_FULL);
                                       loss->set_total(3);
                                     }});
  EXPECT_TRUE(spool) << spool.error().message;
  return std::move(*spool);
}

// Without a server: as many events as it takes.
uint64_t make_events(FakeRing& ring, Agent& agent, uint64_t from, uint64_t count, int denied_in = 0) {
  for (uint64_t i = from; i < from + count; i++) {
    const uint8_t verdict = denied_in && i % static_cast<uint64_t>(denied_in) == 0 ? CW_DENIED : CW_ALLOWED;
    while (!ring.produce(event_of(i, verdict))) agent.pass(10ms);
    if (i % 50 == 0) agent.pass(10ms);
  }
  return from + count;
}

void deliver_everything(Agent& agent, Server& server) {
  for (int i = 0; i < 3; i++) {
    agent.deliver_all(server);
    agent.pass(1s);
  }
  agent.deliver_all(server);
}

TEST(DeliverySpool, an_outage_goes_to_disk_and_comes_back_whole) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  Agent agent(ring, small(), open_batches(directory));
  make_events(ring, agent, 1, 5000);
  EXPECT_GT(agent.delivery.spool()->files().bytes(), 100'000U);
  EXPECT_EQ(agent.delivery.queue_bytes(), 0U) << "nothing waits in memory";
  EXPECT_NE(agent.delivery.oldest_us(), 0);
  Server server;
  agent.delivery.connected(0, 32);
  deliver_everything(agent, server);
  EXPECT_EQ(server.stored().size(), 5000U);
  EXPECT_EQ(server.lost(), 0U);
  EXPECT_TRUE(std::is_sorted(server.stored().begin(), server.stored().end()));
  EXPECT_TRUE(agent.delivery.idle());
  EXPECT_EQ(agent.delivery.oldest_us(), 0);
  EXPECT_TRUE(directory.files().empty());
}

TEST(DeliverySpool, a_killed_agent_loses_nothing) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  uint64_t next = 1;
  for (int life = 0; life < 5; life++) {
    Agent agent(ring, small(), open_batches(directory));
    next = make_events(ring, agent, next, 1000);
  }
  Server server;
  Agent agent(ring, small(), open_batches(directory));
  agent.delivery.connected(0, 32);
  deliver_everything(agent, server);
  EXPECT_EQ(server.stored().size(), next - 1);
  EXPECT_EQ(server.lost(), 0U);
}

TEST(DeliverySpool, what_an_earlier_boot_has_spooled_comes_under_its_own_epoch_with_its_names) {
  SpoolDirectory directory;
  {
    FakeRing ring(kRingBytes);
    Agent agent(ring, small(), open_batches(directory, 64 << 20, "boot.1"));
    make_events(ring, agent, 1, 1000);
    agent.delivery.finish(agent.now);  // and the machine goes down
  }
  FakeRing ring(kRingBytes);
  Server server("boot.2");
  Agent agent(ring, small(), open_batches(directory, 64 << 20, "boot.2"));
  make_events(ring, agent, 5001, 300);
  agent.delivery.connected(0, 32);
  std::vector<uint64_t> totals;
  while (const auto message = agent.delivery.next_to_send()) {
    for (const auto& loss : message->flows().kernel_losses()) totals.push_back(loss.total());
    server.commit(message->flows());
    agent.delivery.acknowledged(message->flows().sequence());
  }
  deliver_everything(agent, server);
  EXPECT_EQ(server.count(), 1300U);
  EXPECT_EQ(server.stored().size(), 300U) << "of this boot";
  EXPECT_EQ(server.lost(), 0U);
  EXPECT_EQ(server.name_of("boot.1", 7), "web of boot.1");
  EXPECT_FALSE(totals.empty()) << "what the kernel has lost is told with it";
}

TEST(DeliverySpool, a_short_outage_stays_in_the_ring) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  Agent agent(ring, small(), open_batches(directory));
  for (uint64_t i = 1; i <= 100; i++) ring.produce(event_of(i));
  agent.pass(10s);
  EXPECT_TRUE(directory.files().empty());
}

TEST(DeliverySpool, at_the_end_everything_is_on_disk) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  Agent agent(ring, small(), open_batches(directory));
  agent.delivery.connected(0, 4);
  for (uint64_t i = 1; i <= 200; i++) ring.produce(event_of(i));
  agent.pass(10ms);
  while (agent.delivery.next_to_send()) continue;  // on their way, and never acknowledged
  agent.delivery.finish(agent.now);
  EXPECT_EQ(agent.reader.released_index(), 200U);
  Agent next(ring, small(), open_batches(directory));
  Server server;
  next.delivery.connected(0, 32);
  deliver_everything(next, server);
  EXPECT_EQ(server.stored().size(), 200U);
}

TEST(DeliverySpool, keeps_order_when_the_ring_gets_crowded_behind_what_is_under_way) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  Agent agent(ring, small(), open_batches(directory));
  Server server;
  agent.delivery.connected(0, 4);
  uint64_t next = make_events(ring, agent, 1, 100);
  std::vector<std::shared_ptr<const v1::StreamRequest>> sent;
  while (auto message = agent.delivery.next_to_send()) sent.push_back(message);
  next = make_events(ring, agent, next, 2000);
  for (const auto& message : sent) server.commit(message->flows());
  agent.delivery.acknowledged(sent.back()->flows().sequence());
  deliver_everything(agent, server);
  EXPECT_EQ(server.stored().size(), next - 1);
  EXPECT_EQ(server.lost(), 0U);
}

TEST(DeliverySpool, with_too_little_room_all_are_stored_or_counted_and_refusals_stay) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  Agent agent(ring, small(), open_batches(directory, 1 << 20));
  const uint64_t events = 60'000;
  make_events(ring, agent, 1, events, 100);
  EXPECT_LE(directory.bytes(), 1U << 20);
  Server server;
  agent.delivery.connected(0, 32);
  deliver_everything(agent, server);
  EXPECT_EQ(server.count() + server.lost(), events);
  EXPECT_EQ(server.sent_bytes(), server.count() * 10) << "sums are those of the events";
  EXPECT_EQ(server.overlaps() + server.broken(), 0U);
  EXPECT_LT(server.stored().size(), events / 2) << "rows were merged";
  const bool dropped_whole_batches = agent.delivery.spool()->files().counters().dropped_events > 0;
  EXPECT_FALSE(dropped_whole_batches);
  EXPECT_EQ(server.denied(), events / 100) << "refusals go last";
}

TEST(DeliverySpool, falls_back_to_memory_on_a_disk_that_cannot_be_written) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  auto spool = open_batches(directory);
  Agent agent(ring, small(), std::move(spool));
  std::filesystem::remove_all(directory.path());
  const uint64_t next = make_events(ring, agent, 1, 1000);
  EXPECT_NE(agent.delivery.spool_trouble(), "");
  EXPECT_GT(agent.delivery.queue_bytes(), 0U);
  std::filesystem::create_directory(directory.path());
  agent.pass(6s);
  make_events(ring, agent, next, 1000);
  EXPECT_EQ(agent.delivery.spool_trouble(), "") << "and back when it can";
  EXPECT_EQ(agent.delivery.queue_bytes(), 0U);
  Server server;
  agent.delivery.connected(0, 32);
  deliver_everything(agent, server);
  EXPECT_EQ(server.stored().size(), 2000U);
  EXPECT_EQ(server.lost(), 0U);
}

TEST(DeliverySpool, counts_what_was_damaged_on_disk) {
  FakeRing ring(kRingBytes);
  SpoolDirectory directory;
  uint64_t next;
  {
    Agent agent(ring, small(), open_batches(directory));
    next = make_events(ring, agent, 1, 2000);
    agent.delivery.finish(agent.now);
  }
  const std::string file = directory.files().at(0);
  std::string damaged = read_file(file);
  for (size_t at = damaged.size() / 2; at < damaged.size() / 2 + 3000; at++) damaged[at] = 'x';
  write_file(file, damaged);
  Server server;
  Agent agent(ring, small(), open_batches(directory));
  agent.delivery.connected(0, 32);
  deliver_everything(agent, server);
  EXPECT_GT(server.holes(v1::LOSS_REASON_SPOOL_DAMAGED), 0U);
  EXPECT_EQ(server.lost(), server.holes(v1::LOSS_REASON_SPOOL_DAMAGED));
  EXPECT_EQ(server.stored().size() + server.lost(), next - 1);
}

// Streams break, agents die, servers commit without the agent hearing of it, disks are full or too small.
TEST(DeliverySpool, every_event_is_stored_once_or_counted_lost_whatever_happens) {
  for (uint32_t seed = 1; seed <= 10; seed++) {
    std::mt19937 random(seed);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    SpoolDirectory directory;
    const size_t limit = seed % 3 == 0 ? 1 << 20 : seed % 3 == 1 ? 256 << 10 : 64 << 20;
    DeliveryLimits limits = small();
    limits.queue_bytes = 128 << 10;
    int boot = 1;
    const auto epoch = [&] { return "boot." + std::to_string(boot); };
    Server server(epoch());
    auto ring = std::make_unique<FakeRing>(kRingBytes);
    auto agent = std::make_unique<Agent>(*ring, limits, open_batches(directory, limit, epoch()));
    bool connected = false;
    uint64_t made = 0, of_boot = 0;
    std::vector<uint64_t> unheard;
    const auto start = [&] {
      agent.reset();
      agent = std::make_unique<Agent>(*ring, limits, open_batches(directory, limit, epoch()));
      connected = false;
    };
    for (int round = 0; round < 300; round++) {
      for (int i = static_cast<int>(random() % 150); i > 0; i--) {
        if (!ring->produce(event_of(of_boot + 1, chance(5) ? CW_DENIED : CW_ALLOWED))) break;
        made++, of_boot++;
      }
      if (chance(3)) start();
      if (chance(1)) {
        agent->delivery.finish(agent->now);
        boot++, of_boot = 0;
        agent.reset();
        ring = std::make_unique<FakeRing>(kRingBytes);
        server.next_epoch(epoch());
        start();
      }
      if (connected && chance(10)) {
        agent->delivery.disconnected();
        connected = false;
      } else if (!connected && chance(10)) {
        agent->delivery.connected(server.committed(), 4);
        connected = true;
        unheard.clear();
      }
      agent->pass(std::chrono::milliseconds(random() % 200));
      if (!connected) continue;
      bool broken = chance(10);
      while (const auto message = agent->delivery.next_to_send()) {
        if (chance(5)) {  // sent, and lost with the stream
          broken = true;
          break;
        }
        server.commit(message->flows());
        unheard.push_back(message->flows().sequence());
      }
      if (!unheard.empty() && chance(60)) {
        agent->delivery.acknowledged(unheard.back());
        unheard.clear();
      }
      if (broken) {
        agent->delivery.disconnected();
        connected = false;
      }
    }
    if (connected) agent->delivery.disconnected();
    agent->delivery.connected(server.committed(), 32);
    deliver_everything(*agent, server);
    ASSERT_EQ(server.count() + server.lost(), made) << "seed " << seed;
    ASSERT_EQ(server.committed(), of_boot) << "seed " << seed;
    ASSERT_EQ(server.overlaps() + server.broken(), 0U) << "seed " << seed;
    if (seed % 3 == 2) {
      ASSERT_EQ(server.lost(), 0U) << "there was room, seed " << seed << ", "
                                   << server.holes(v1::LOSS_REASON_QUEUE_FULL) << " of the queue, "
                                   << server.holes(v1::LOSS_REASON_AGENT_RESTART) << " with an agent, "
                                   << server.holes(v1::LOSS_REASON_SPOOL_DAMAGED) << " damaged";
    }
    for (size_t i = 1; i < server.stored().size(); i++)
      ASSERT_LT(server.stored()[i - 1], server.stored()[i]) << "twice or out of order, seed " << seed;
  }
}

}  // namespace
}  // namespace cellwall::test
