// SPDX-License-Identifier: Apache-2.0
//
// What containers learn from answers that they may learn from.
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "clock.h"
#include "names_fixture.h"
#include "policy_set.h"

namespace cellwall::test {
namespace {

class Names : public NamesTest {};
INSTANTIATE_TEST_SUITE_P(, Names, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

Reply always(std::vector<std::string> addresses, uint32_t ttl = 60) {
  return [=](const std::string&, const Message& query) { return answer_to(query, addresses, ttl); };
}

TEST_P(Names, lets_a_container_reach_what_it_looked_up) {
  accept({"api.example.com"});
  for (const Asking how : {Asking::kConnected, Asking::kUnconnected}) {
    const std::string target = how == Asking::kConnected ? "127.1.0.1" : "127.1.0.2";
    NameServer server(kResolver, always({target}));
    EXPECT_EQ(reach(target), EPERM);
    EXPECT_EQ(ask("api.example.com", how), 0);
    EXPECT_EQ(reach(target), 0);
  }
  EXPECT_EQ(reach("127.1.0.3"), EPERM);
  const auto found = events();
  const auto lifted = std::find_if(found.begin(), found.end(), [](const cw_event& event) {
    return event.protocol == IPPROTO_TCP && event.verdict == CW_ALLOWED;
  });
  ASSERT_NE(lifted, found.end());
  EXPECT_EQ(lifted->rule, kRuleName);
}

TEST_P(Names, learns_v6_addresses) {
  accept({"api.example.com"});
  NameServer server(kResolver, always({"127.1.0.1", "::1"}));
  EXPECT_EQ(reach("::1"), EPERM);
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(reach("::1"), 0);
  EXPECT_EQ(reach("127.1.0.1"), 0);
}

TEST_P(Names, learns_from_a_server_that_is_asked_over_v6) {
  accept({"api.example.com"});
  trust({{.net = own_network(), .address = address("fd07::1")}});
  NameServer server("fd07::1", always({"127.1.0.1"}));
  EXPECT_EQ(ask("api.example.com", Asking::kUnconnected, "fd07::1"), 0);
  EXPECT_EQ(reach("127.1.0.1"), 0);
}

TEST_P(Names, one_container_does_not_learn_for_another_of_its_pod) {
  accept({"api.example.com"});
  const std::string other = container("pod/other");
  ASSERT_TRUE(kernel_->set_subject(learner(other)).has_value());
  NameServer server(kResolver, always({"127.1.0.1"}));
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(run_in(other, [&] { return tcp_abort("127.1.0.1", target_->port()); }), EPERM);
  EXPECT_EQ(reach("127.1.0.1"), 0);
}

TEST_P(Names, a_wildcard_holds_for_all_names_below_it_and_not_for_itself) {
  accept({"*.example.com", "exact.org"});
  const std::pair<std::string, bool> cases[] = {
      {"a.example.com", true},   {"a.b.c.example.com", true}, {"example.com", false},
      {"badexample.com", false}, {"example.com.org", false},  {"exact.org", true},
      {"a.exact.org", false},    {"exact.or", false},         {"exact.orga", false},
      {"A.eXaMpLe.CoM", true},   {"x_y-z.example.com", true}};
  int last = 0;
  for (const auto& [name, may] : cases) {
    const std::string target = "127.2.0." + std::to_string(++last);
    NameServer server(kResolver, always({target}));
    EXPECT_EQ(ask(name), 0);
    EXPECT_EQ(reach(target), may ? 0 : EPERM) << name;
  }
}

TEST_P(Names, learns_what_aliases_lead_to_and_every_address) {
  accept({"api.example.com"});
  std::vector<std::string> many;
  for (int i = 1; i <= 64; i++) many.push_back("127.3.0." + std::to_string(i));
  NameServer server(kResolver, [&](const std::string& name, const Message& query) {
    const std::string canonical = "cdn.example.net";
    DnsWriter writer(kDnsOk, 1, static_cast<uint16_t>(1 + many.size()));
    writer.question(name, 1).alias(name, canonical);
    for (const std::string& text : many) {
      const auto bytes = address(text);
      writer.a(canonical, Message(bytes.begin() + 12, bytes.end()));
    }
    return writer.size() < 4096 ? writer.bytes() : answer_to(query, {});
  });
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(learned().size(), 64U);
  EXPECT_EQ(reach("127.3.0.1"), 0);
  EXPECT_EQ(reach("127.3.0.64"), 0);
  EXPECT_EQ(count(CW_COUNT_NAMES_FULL), 0U);
}

TEST_P(Names, the_first_connect_after_a_look_up_succeeds_each_time) {
  accept({"*.example.com"});
  // 127.x.y.z for n<number>
  NameServer server(kResolver, [](const std::string& name, const Message& query) {
    const int number = std::atoi(name.c_str() + 1);
    return answer_to(query, {"127." + std::to_string(10 + (number >> 16)) + "." +
                             std::to_string(number >> 8 & 255) + "." + std::to_string(number & 255)});
  });
  const bool longer = std::getenv("CELLWALL_LONG") != nullptr;
  const int rounds = longer ? 80000 : 2000, batch = 1000;
  const unsigned seconds = longer ? 240 : 40;
  alarm(seconds + 20);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int refused = 0, done = 0;
  for (; done < rounds && std::chrono::steady_clock::now() < give_up; done += batch) {
    refused += run_in(web_, [&] {
      int failed = 0;
      for (int i = done; i < done + batch; i++) {
        const std::string target = "127." + std::to_string(10 + (i >> 16)) + "." +
                                   std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255);
        const std::string name = "n" + std::to_string(i) + ".example.com";
        if (look_up(kResolver, name, i & 1 ? Asking::kConnected : Asking::kUnconnected) != 0) return 253;
        // Nobody listens there; whom the policy lets through, the kernel refuses.
        if (tcp_abort(target, 1) != ECONNREFUSED) failed++;
      }
      return std::min(failed, 252);
    });
    // Makes room: as when the container ends.
    ASSERT_TRUE(kernel_->remove_subject(cgroup_id(web_)).has_value());
    ASSERT_TRUE(kernel_->sweep_names().has_value());
    ASSERT_TRUE(kernel_->set_subject(learner(web_)).has_value());
    (void)events();
  }
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(done, rounds) << "time was up";
}

TEST_P(Names, what_was_learned_ends_after_its_time_to_live_and_a_grace) {
  accept({"api.example.com"});
  NameServer server(kResolver, always({"127.1.0.1"}, 120));
  const uint64_t before = boot_now_ns();
  EXPECT_EQ(ask("api.example.com"), 0);
  auto found = learned();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].container, cgroup_id(web_));
  EXPECT_EQ(found[0].pattern, pattern_number("api.example.com"));
  EXPECT_GE(found[0].until_ns, before + 180000000000ULL);
  EXPECT_LE(found[0].until_ns, boot_now_ns() + 180000000000ULL);
  EXPECT_EQ(reach("127.1.0.1"), 0);
  end_learned_at(boot_now_ns());
  EXPECT_EQ(reach("127.1.0.1"), EPERM);
  // Looked up again, in the place that is still there.
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(reach("127.1.0.1"), 0);
  EXPECT_EQ(learned().size(), 1U);
}

TEST_P(Names, the_sweep_takes_away_what_is_over_alone) {
  accept({"*.example.com"});
  NameServer server(kResolver, [](const std::string& name, const Message& query) {
    return answer_to(query, {name.starts_with("old") ? "127.1.0.1" : "127.1.0.2"});
  });
  EXPECT_EQ(ask("old.example.com"), 0);
  end_learned_at(boot_now_ns());
  EXPECT_EQ(ask("new.example.com"), 0);
  EXPECT_EQ(learned().size(), 2U);
  ASSERT_TRUE(kernel_->sweep_names().has_value());
  const auto found = learned();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].address, address("127.1.0.2"));
  EXPECT_EQ(reach("127.1.0.2"), 0);
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(web_)).has_value());
  ASSERT_TRUE(kernel_->sweep_names().has_value());
  EXPECT_TRUE(learned().empty());
}

TEST_P(Names, an_answer_without_room_is_dropped_so_that_it_is_asked_for_again) {
  accept({"*.example.com"});
  NameServer server(kResolver, always({"127.1.0.1"}));
  for (int i = 0; i < 1024; i++) {
    const std::string taken = "127.9." + std::to_string(i >> 8) + "." + std::to_string(i & 255);
    ASSERT_TRUE(
        kernel_->learn(cgroup_id(web_), address(taken), "a.example.com", 60, boot_now_ns()).has_value())
        << i;
  }
  EXPECT_FALSE(
      kernel_->learn(cgroup_id(web_), address("127.1.0.1"), "a.example.com", 60, boot_now_ns()).has_value());
  const uint64_t before = count(CW_COUNT_NAMES_FULL);
  EXPECT_NE(ask("b.example.com"), 0) << "no answer gets through";
  EXPECT_EQ(count(CW_COUNT_NAMES_FULL), before + 1);
  EXPECT_EQ(ask("other.org"), 0) << "what teaches nothing needs no room";
  EXPECT_EQ(reach("127.9.0.1"), 0) << "what was learned before stays";
  end_learned_at(boot_now_ns());
  ASSERT_TRUE(kernel_->sweep_names().has_value());
  EXPECT_EQ(ask("b.example.com"), 0);
  EXPECT_EQ(reach("127.1.0.1"), 0);
}

TEST_P(Names, the_fifth_name_of_an_address_takes_the_place_of_the_one_that_ends_first) {
  accept({"a.org", "b.org", "c.org", "d.org", "e.org"});
  const auto teach = [&](const std::string& name, uint32_t ttl) {
    EXPECT_TRUE(kernel_->learn(cgroup_id(web_), address("127.1.0.1"), name, ttl, boot_now_ns()).has_value());
  };
  teach("a.org", 300);
  teach("b.org", 100);
  teach("c.org", 200);
  teach("d.org", 400);
  teach("e.org", 50);
  std::vector<uint64_t> patterns;
  for (const KernelLearned& one : learned()) patterns.push_back(one.pattern);
  std::sort(patterns.begin(), patterns.end());
  std::vector<uint64_t> expected;
  for (const char* name : {"a.org", "c.org", "d.org", "e.org"}) expected.push_back(pattern_number(name));
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(patterns, expected);
}

TEST_P(Names, what_was_learned_outlives_generations_and_is_judged_by_their_rules) {
  accept({"*.example.com"});
  NameServer server(kResolver, always({"127.1.0.1"}));
  EXPECT_EQ(ask("api.example.com"), 0);
  accept({"*.example.com", "other.org"});
  EXPECT_EQ(reach("127.1.0.1"), 0);
  accept({"other.org"});
  EXPECT_EQ(reach("127.1.0.1"), EPERM);
  // The name is one of this rule, but what was learned is bound to the other.
  accept({"api.example.com"});
  EXPECT_EQ(reach("127.1.0.1"), EPERM);
  EXPECT_TRUE(kernel_->learn(cgroup_id(web_), address("127.1.0.1"), "api.example.com", 30, boot_now_ns())
                  .has_value());
  EXPECT_EQ(reach("127.1.0.1"), 0);
}

TEST_P(Names, a_name_of_an_audit_policy_lifts_no_enforced_verdict) {
  accept({"api.example.com"}, CW_AUDIT);
  NameServer server(kResolver, always({"127.1.0.1"}));
  EXPECT_EQ(ask("api.example.com"), 0);
  EXPECT_EQ(learned().size(), 1U);
  EXPECT_EQ(reach("127.1.0.1"), EPERM);
}

TEST_P(Names, goes_on_learning_when_the_agent_is_gone_and_after_it_is_back) {
  accept({"*.example.com"});
  NameServer server(kResolver, [](const std::string& name, const Message& query) {
    return answer_to(query, {"127.1.0." + name.substr(0, 1)});
  });
  EXPECT_EQ(ask("1.example.com"), 0);
  stop();
  EXPECT_EQ(ask("2.example.com"), 0);
  EXPECT_EQ(reach("127.1.0.1"), 0);
  EXPECT_EQ(reach("127.1.0.2"), 0);
  start();
  EXPECT_EQ(learned().size(), 2U);
  EXPECT_EQ(ask("3.example.com"), 0);
  EXPECT_EQ(reach("127.1.0.3"), 0);
}

}  // namespace
}  // namespace cellwall::test
