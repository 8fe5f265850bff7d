// SPDX-License-Identifier: Apache-2.0
#include "kernel_sockets.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "fd.h"
#include "kernel_cut.h"

namespace cellwall {
namespace {

// Runs an iterator that writes records of one size.
template <typename Record>
Result<void> read_iterator(bpf_link* link, const std::function<void(const Record&)>& each) {
  Fd iterator(bpf_iter_create(bpf_link__fd(link)));
  if (!iterator) return fail_errno("start the iterator of open connections");
  std::array<Record, 64> chunk;
  size_t filled = 0;
  for (;;) {
    char* bytes = reinterpret_cast<char*>(chunk.data());
    const ssize_t count = read(iterator.get(), bytes + filled, sizeof(chunk) - filled);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return fail_errno("read the open connections");
    if (count == 0) return {};
    filled += static_cast<size_t>(count);
    const size_t whole = filled / sizeof(Record);
    for (const Record& record : std::span(chunk).first(whole)) each(record);
    filled -= whole * sizeof(Record);
    std::memmove(bytes, bytes + whole * sizeof(Record), filled);
  }
}

}  // namespace

Result<SocketIterators> SocketIterators::attach(const Programs& programs) {
  SocketIterators iterators;
  iterators.open_flows_.reset(bpf_program__attach_iter(programs.open_flows, nullptr));
  if (!iterators.open_flows_) return fail_errno("attach the iterator of open connections");
  if (!bpf_program__autoload(programs.refused_flows)) return iterators;
  iterators.refused_flows_.reset(bpf_program__attach_iter(programs.refused_flows, nullptr));
  if (!iterators.refused_flows_) return fail_errno("attach the iterator of refused connections");
  return iterators;
}

Result<OpenSockets> SocketIterators::open() const {
  // Several tasks can hold one socket.
  std::unordered_map<uint64_t, cw_event> flows, listeners;
  auto done = read_iterator<cw_event>(open_flows_.get(), [&](const cw_event& event) {
    (event.end == CW_END_LISTENING ? listeners : flows).emplace(event.cookie, event);
  });
  if (!done) return std::unexpected(done.error());
  OpenSockets sockets;
  for (const auto& [cookie, flow] : flows) sockets.flows.push_back(flow);
  for (const auto& [cookie, listener] : listeners) sockets.listeners.push_back(listener);
  return sockets;
}

Result<size_t> SocketIterators::cut_refused() const {
  if (!refused_flows_) return size_t{0};
  // Several tasks can hold one socket.
  std::unordered_set<uint64_t> seen;
  std::vector<cw_cut> sockets;
  auto done = read_iterator<cw_cut>(refused_flows_.get(), [&](const cw_cut& cut) {
    if (!cut.cookie || seen.insert(cut.cookie).second) sockets.push_back(cut);
  });
  if (!done) return std::unexpected(done.error());
  const CutResult result = destroy_sockets(std::move(sockets));
  if (!result.refusal.empty())
    return fail("some refused connections are not reset, their packets are dropped: " + result.refusal);
  return result.destroyed;
}

}  // namespace cellwall
