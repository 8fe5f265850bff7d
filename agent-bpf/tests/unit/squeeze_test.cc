// SPDX-License-Identifier: Apache-2.0
#include "squeeze.h"

#include <gtest/gtest.h>

#include "flow_rows.h"

namespace cellwall::test {
namespace {

FlowRow row_of(int64_t end_us, uint32_t port = 443) {
  FlowRow row;
  row.cgroup = 7;
  row.end_us = end_us;
  row.duration_plus_one = 101;
  row.protocol = 6;
  row.direction = v1::DIRECTION_EGRESS;
  row.verdict = v1::VERDICT_ALLOWED;
  row.end = v1::END_CLOSED;
  row.local = {"\x0a\x01\x01\x01", static_cast<uint32_t>(30000 + end_us % 1000)};
  row.remote = {"\x0a\x02\x02\x02", port};
  row.sent_plus_one = 11;
  row.received_plus_one = 0;
  row.sent_packets = 3;
  row.rule = 17;
  row.generation = 4;
  row.cookie = end_us;
  row.process_id = 99;
  row.process_name = "curl";
  return row;
}

v1::FlowBatch batch_of(const std::vector<FlowRow>& rows) {
  v1::FlowBatch batch;
  batch.set_first_event_index(1);
  *batch.mutable_ended() = write_rows(rows);
  return batch;
}

std::vector<FlowRow> rows_of(const v1::FlowBatch& batch) {
  std::vector<FlowRow> rows;
  EXPECT_TRUE(read_rows(batch.ended(), &rows));
  return rows;
}

TEST(FlowRows, come_back_as_they_were_written) {
  FlowRow all = row_of(1000);
  all.translated = true;
  all.source = {"\x01\x02\x03\x04", 5};
  all.destination = {"\x05\x06\x07\x08", 9};
  all.named = true;
  all.name = "db.example";
  all.payload = v1::PAYLOAD_TLS;
  all.tls_version = 0x0304;
  all.has_server_name = true;
  all.server_name = "db.example";
  all.failure = v1::FAILURE_REFUSED;
  all.count = 3;
  all.first_of_pair = true;
  const v1::FlowBatch batch = batch_of({row_of(500), all, row_of(700, 80)});
  const auto rows = rows_of(batch);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(write_rows(rows).SerializeAsString(), batch.ended().SerializeAsString());
  EXPECT_EQ(rows[1].destination, all.destination);
  EXPECT_EQ(rows[1].server_name, "db.example");
  EXPECT_EQ(rows[1].count, 3U);
  EXPECT_TRUE(rows[1].first_of_pair);
  EXPECT_EQ(rows[2].end_us, 700);
  EXPECT_EQ(batch.ended().strings_size(), 2) << "each text once";
}

TEST(FlowRows, refuses_columns_that_do_not_fit) {
  std::vector<FlowRow> rows;
  v1::FlowColumns columns = write_rows({row_of(1), row_of(2)});
  columns.add_rule(3);
  EXPECT_FALSE(read_rows(columns, &rows));
  columns = write_rows({row_of(1)});
  columns.set_local_address(0, 9);
  EXPECT_FALSE(read_rows(columns, &rows));
  columns = write_rows({row_of(1)});
  columns.add_first_of_pair(1);
  EXPECT_FALSE(read_rows(columns, &rows));
  columns = write_rows({row_of(1)});
  columns.mutable_merged()->add_row(0);
  EXPECT_FALSE(read_rows(columns, &rows));
}

TEST(Squeezer, merges_rows_that_are_alike) {
  FlowRow known = row_of(4000);
  known.received_plus_one = 6;
  v1::FlowBatch batch = batch_of({row_of(1000), row_of(2000, 80), row_of(3000), known});
  Squeezer squeezer;
  squeezer.merge(&batch);
  const auto rows = rows_of(batch);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(batch.events(), 4U);
  EXPECT_EQ(rows[0].count, 3U);
  EXPECT_EQ(rows[0].begin_us(), 900) << "where the first began";
  EXPECT_EQ(rows[0].end_us, 4000) << "where the last ended";
  EXPECT_EQ(rows[0].sent_plus_one, 31U);
  EXPECT_EQ(rows[0].received_plus_one, 6U) << "of those that are known";
  EXPECT_EQ(rows[0].sent_packets, 9U);
  EXPECT_EQ(rows[0].remote.port, 443U);
  EXPECT_EQ(rows[0].local.port, 30000U);
  EXPECT_EQ(rows[0].process_name, "curl");
  EXPECT_EQ(rows[1].count, 1U);
  EXPECT_EQ(squeezer.counters().merged_events, 2U);
  squeezer.merge(&batch);
  EXPECT_EQ(rows_of(batch).size(), 2U) << "a second time changes nothing";
  EXPECT_EQ(batch.events(), 4U);
}

TEST(Squeezer, forgets_callers_ports_that_differ) {
  v1::FlowBatch batch = batch_of({row_of(1), row_of(2)});
  FlowRow in = row_of(3);
  in.direction = v1::DIRECTION_INGRESS;
  std::swap(in.local, in.remote);
  FlowRow other = in;
  other.remote.port = 5;
  v1::FlowBatch ingress = batch_of({in, other});
  Squeezer squeezer;
  squeezer.merge(&batch);
  squeezer.merge(&ingress);
  ASSERT_EQ(rows_of(batch).size(), 1U);
  EXPECT_EQ(rows_of(batch)[0].local.port, 0U);
  ASSERT_EQ(rows_of(ingress).size(), 1U);
  EXPECT_EQ(rows_of(ingress)[0].remote.port, 0U);
  EXPECT_EQ(rows_of(ingress)[0].local.port, 443U);
}

TEST(Squeezer, keeps_apart_what_is_not_alike) {
  const auto merged = [](const std::function<void(FlowRow*)>& change) {
    FlowRow other = row_of(2000);
    change(&other);
    v1::FlowBatch batch = batch_of({row_of(1000), other});
    Squeezer().merge(&batch);
    return rows_of(batch).size() == 1;
  };
  EXPECT_TRUE(merged([](FlowRow* row) { row->rtt_us = 7; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->cgroup = 8; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->remote.address = "\x0a\x02\x02\x03"; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->remote.port = 80; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->protocol = 17; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->direction = v1::DIRECTION_INGRESS; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->verdict = v1::VERDICT_DENIED; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->rule = 18; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->end = v1::END_RESET; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->failure = v1::FAILURE_REFUSED; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->process_name = "wget"; }));
  EXPECT_FALSE(merged([](FlowRow* row) { row->named = true; }));
}

TEST(Squeezer, leaves_out_all_but_refusals_and_first_rows_of_pairs_and_counts_them) {
  FlowRow denied = row_of(5000);
  denied.verdict = v1::VERDICT_DENIED;
  Squeezer squeezer;
  v1::FlowBatch first = batch_of({row_of(1000), row_of(2000), row_of(3000, 80)});
  v1::FlowBatch second = batch_of({row_of(4000), denied, row_of(6000), row_of(7000, 22)});
  for (auto* batch : {&first, &second}) {
    squeezer.mark_new_pairs(batch);
    squeezer.merge(batch);
    squeezer.shed(batch, Squeezer::Keep::kRefusalsAndNewPairs, v1::LOSS_REASON_SPOOL_FULL);
  }
  EXPECT_EQ(rows_of(first).size(), 2U) << "both pairs were new";
  const auto rows = rows_of(second);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].verdict, v1::VERDICT_DENIED);
  EXPECT_EQ(rows[1].remote.port, 22U);
  EXPECT_EQ(second.events(), 4U);
  ASSERT_EQ(second.dropped_size(), 1);
  EXPECT_EQ(second.dropped(0).reason(), v1::LOSS_REASON_SPOOL_FULL);
  EXPECT_EQ(second.dropped(0).count(), 2U);
  EXPECT_EQ(second.dropped(0).first_us(), 3900U);
  EXPECT_EQ(second.dropped(0).last_us(), 6000U);
  EXPECT_EQ(squeezer.counters().shed_events, 2U);
  squeezer.shed(&second, Squeezer::Keep::kRefusals, v1::LOSS_REASON_SPOOL_FULL);
  ASSERT_EQ(rows_of(second).size(), 1U);
  EXPECT_EQ(rows_of(second)[0].verdict, v1::VERDICT_DENIED);
  EXPECT_EQ(second.dropped(0).count(), 3U);
}

}  // namespace
}  // namespace cellwall::test
