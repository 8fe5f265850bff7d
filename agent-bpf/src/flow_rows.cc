// SPDX-License-Identifier: Apache-2.0
#include "flow_rows.h"

namespace cellwall {
namespace {

// One column for each field; the order of the list is that of the message.
template <typename Columns>
bool columns_fit(const Columns& c) {
  const auto rows = static_cast<int>(c.rows());
  for (int size : {c.cgroup_size(),
                   c.end_time_delta_size(),
                   c.duration_plus_one_size(),
                   c.protocol_size(),
                   c.direction_size(),
                   c.verdict_size(),
                   c.end_size(),
                   c.local_address_size(),
                   c.local_port_size(),
                   c.remote_address_size(),
                   c.remote_port_size(),
                   c.sent_bytes_plus_one_size(),
                   c.received_bytes_plus_one_size(),
                   c.sent_packets_size(),
                   c.received_packets_size(),
                   c.rtt_us_size(),
                   c.retransmits_size(),
                   c.rule_size(),
                   c.generation_size(),
                   c.cookie_delta_size(),
                   c.process_id_size(),
                   c.process_name_size(),
                   c.flags_size()}) {
    if (size != rows) return false;
  }
  return true;
}

// Reads what points into dictionaries; what points outside of them makes it fail.
class Dictionaries {
 public:
  explicit Dictionaries(const v1::FlowColumns& columns) : columns_(columns) {}
  bool good() const { return good_; }
  std::string_view address(uint32_t index) { return at(columns_.addresses(), index); }
  std::string_view text(uint32_t index) { return at(columns_.strings(), index); }
  uint64_t cgroup(uint32_t index) {
    if (index < static_cast<uint32_t>(columns_.cgroups_size()))
      return columns_.cgroups(static_cast<int>(index));
    good_ = false;
    return 0;
  }

 private:
  template <typename List>
  std::string_view at(const List& list, uint32_t index) {
    if (index < static_cast<uint32_t>(list.size())) return list.Get(static_cast<int>(index));
    good_ = false;
    return {};
  }
  const v1::FlowColumns& columns_;
  bool good_ = true;
};

// Calls each(row, entry) for what only some rows have.
template <typename Sparse, typename Each>
bool each_sparse(const Sparse& sparse, std::vector<FlowRow>* rows, const Each& each) {
  for (int i = 0; i < sparse.row_size(); i++) {
    if (sparse.row(i) >= rows->size() || !each((*rows)[sparse.row(i)], i)) return false;
  }
  return true;
}

bool read_sparse(const v1::FlowColumns& c, Dictionaries& in, std::vector<FlowRow>* rows) {
  const auto& t = c.translations();
  const auto& n = c.names();
  const auto& p = c.payloads();
  const auto& f = c.failures();
  const auto& m = c.merged();
  for (int size : {t.source_address_size(), t.source_port_size(), t.destination_address_size(),
                   t.destination_port_size()}) {
    if (size != t.row_size()) return false;
  }
  if (n.name_size() != n.row_size() || p.payload_size() != p.row_size() ||
      p.tls_version_size() != p.row_size() || p.server_name_size() != p.row_size() ||
      f.failure_size() != f.row_size() || m.count_size() != m.row_size())
    return false;
  bool good = each_sparse(t, rows, [&](FlowRow& row, int i) {
    row.translated = true;
    row.source = {in.address(t.source_address(i)), t.source_port(i)};
    row.destination = {in.address(t.destination_address(i)), t.destination_port(i)};
    return true;
  });
  good = good && each_sparse(n, rows, [&](FlowRow& row, int i) {
           row.named = true;
           row.name = in.text(n.name(i));
           return true;
         });
  good = good && each_sparse(p, rows, [&](FlowRow& row, int i) {
           row.payload = p.payload(i);
           row.tls_version = p.tls_version(i);
           row.has_server_name = p.server_name(i) > 0;
           if (row.has_server_name) row.server_name = in.text(p.server_name(i) - 1);
           return true;
         });
  good = good && each_sparse(f, rows, [&](FlowRow& row, int i) {
           row.failure = f.failure(i);
           return true;
         });
  good = good && each_sparse(m, rows, [&](FlowRow& row, int i) {
           row.count = m.count(i);
           return row.count > 0;
         });
  for (uint32_t row : c.first_of_pair()) {
    if (row >= rows->size()) return false;
    (*rows)[row].first_of_pair = true;
  }
  return good;
}

class Writer {
 public:
  explicit Writer(v1::FlowColumns* columns) : c_(columns) {}

  void add(const FlowRow& row) {
    const uint32_t number = c_->rows();
    c_->set_rows(number + 1);
    c_->add_cgroup(cgroup(row.cgroup));
    c_->add_end_time_delta(row.end_us - last_time_);
    c_->add_duration_plus_one(row.duration_plus_one);
    c_->add_protocol(row.protocol);
    c_->add_direction(row.direction);
    c_->add_verdict(row.verdict);
    c_->add_end(row.end);
    c_->add_local_address(address(row.local.address));
    c_->add_local_port(row.local.port);
    c_->add_remote_address(address(row.remote.address));
    c_->add_remote_port(row.remote.port);
    c_->add_sent_bytes_plus_one(row.sent_plus_one);
    c_->add_received_bytes_plus_one(row.received_plus_one);
    c_->add_sent_packets(row.sent_packets);
    c_->add_received_packets(row.received_packets);
    c_->add_rtt_us(row.rtt_us);
    c_->add_retransmits(row.retransmits);
    c_->add_rule(row.rule);
    c_->add_generation(row.generation);
    c_->add_cookie_delta(row.cookie - last_cookie_);
    c_->add_process_id(row.process_id);
    c_->add_process_name(text(row.process_name));
    c_->add_flags(row.flags);
    last_time_ = row.end_us;
    last_cookie_ = row.cookie;
    add_sparse(number, row);
  }

 private:
  void add_sparse(uint32_t number, const FlowRow& row) {
    if (row.translated) {
      auto* to = c_->mutable_translations();
      to->add_row(number);
      to->add_source_address(address(row.source.address));
      to->add_source_port(row.source.port);
      to->add_destination_address(address(row.destination.address));
      to->add_destination_port(row.destination.port);
    }
    if (row.named) {
      c_->mutable_names()->add_row(number);
      c_->mutable_names()->add_name(text(row.name));
    }
    if (row.payload != v1::PAYLOAD_UNSPECIFIED) {
      auto* to = c_->mutable_payloads();
      to->add_row(number);
      to->add_payload(row.payload);
      to->add_tls_version(row.tls_version);
      to->add_server_name(row.has_server_name ? text(row.server_name) + 1 : 0);
    }
    if (row.failure != v1::FAILURE_UNSPECIFIED) {
      c_->mutable_failures()->add_row(number);
      c_->mutable_failures()->add_failure(row.failure);
    }
    if (row.count > 1) {
      c_->mutable_merged()->add_row(number);
      c_->mutable_merged()->add_count(row.count);
    }
    if (row.first_of_pair) c_->add_first_of_pair(number);
  }

  uint32_t address(std::string_view bytes) {
    const auto [found, added] = addresses_.try_emplace(bytes, c_->addresses_size());
    if (added) c_->add_addresses(bytes.data(), bytes.size());
    return found->second;
  }
  uint32_t text(std::string_view value) {
    const auto [found, added] = strings_.try_emplace(value, c_->strings_size());
    if (added) c_->add_strings(value.data(), value.size());
    return found->second;
  }
  uint32_t cgroup(uint64_t id) {
    const auto [found, added] = cgroups_.try_emplace(id, c_->cgroups_size());
    if (added) c_->add_cgroups(id);
    return found->second;
  }

  v1::FlowColumns* c_;
  int64_t last_time_ = 0;
  int64_t last_cookie_ = 0;
  std::unordered_map<std::string_view, uint32_t> addresses_, strings_;
  std::unordered_map<uint64_t, uint32_t> cgroups_;
};

}  // namespace

bool read_rows(const v1::FlowColumns& c, std::vector<FlowRow>* rows) {
  if (!columns_fit(c)) return false;
  Dictionaries in(c);
  rows->assign(c.rows(), {});
  int64_t time = 0, cookie = 0;
  for (int i = 0; i < static_cast<int>(c.rows()); i++) {
    FlowRow& row = (*rows)[static_cast<size_t>(i)];
    row.cgroup = in.cgroup(c.cgroup(i));
    row.end_us = time += c.end_time_delta(i);
    row.duration_plus_one = c.duration_plus_one(i);
    row.protocol = c.protocol(i);
    row.direction = c.direction(i);
    row.verdict = c.verdict(i);
    row.end = c.end(i);
    row.local = {in.address(c.local_address(i)), c.local_port(i)};
    row.remote = {in.address(c.remote_address(i)), c.remote_port(i)};
    row.sent_plus_one = c.sent_bytes_plus_one(i);
    row.received_plus_one = c.received_bytes_plus_one(i);
    row.sent_packets = c.sent_packets(i);
    row.received_packets = c.received_packets(i);
    row.rtt_us = c.rtt_us(i);
    row.retransmits = c.retransmits(i);
    row.rule = c.rule(i);
    row.generation = c.generation(i);
    row.cookie = cookie += c.cookie_delta(i);
    row.process_id = c.process_id(i);
    row.process_name = in.text(c.process_name(i));
    row.flags = c.flags(i);
  }
  return read_sparse(c, in, rows) && in.good();
}

v1::FlowColumns write_rows(const std::vector<FlowRow>& rows) {
  v1::FlowColumns columns;
  Writer writer(&columns);
  for (const FlowRow& row : rows) writer.add(row);
  return columns;
}

}  // namespace cellwall
