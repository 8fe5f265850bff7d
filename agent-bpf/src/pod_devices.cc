// SPDX-License-Identifier: Apache-2.0
#include "pod_devices.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "in_namespace.h"

namespace cellwall {
namespace {

constexpr size_t kBufferBytes = 32 << 10;  // what the kernel puts into one answer at most
constexpr uint32_t kSequence = 1;

using OnAnswer = std::function<void(const nlmsghdr*)>;

int on_answer(const nlmsghdr* header, void* context) {
  (*static_cast<OnAnswer*>(context))(header);
  return MNL_CB_OK;
}

// One question to the kernel about the network namespace of this thread.
Result<void> ask(nlmsghdr* question, OnAnswer each) {
  question->nlmsg_seq = kSequence;
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(
      mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC), mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    return fail_errno("open a netlink socket");
  if (mnl_socket_sendto(socket.get(), question, question->nlmsg_len) < 0)
    return fail_errno("ask for network devices");
  std::vector<char> buffer(kBufferBytes);
  const uint32_t port = mnl_socket_get_portid(socket.get());
  for (int more = MNL_CB_OK; more == MNL_CB_OK;) {
    const ssize_t bytes = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    more = bytes < 0
               ? MNL_CB_ERROR
               : mnl_cb_run(buffer.data(), static_cast<size_t>(bytes), kSequence, port, on_answer, &each);
    if (more == MNL_CB_ERROR) return fail_errno("read network devices");
    // What is no dump ends with its one answer.
    if (!(question->nlmsg_flags & NLM_F_DUMP)) break;
  }
  return {};
}

void each_attribute(const void* first, int bytes, const std::function<void(const nlattr*)>& each) {
  for (const auto* at = static_cast<const nlattr*>(first); mnl_attr_ok(at, bytes);) {
    each(at);
    bytes -= static_cast<int>(MNL_ALIGN(at->nla_len));
    at = mnl_attr_next(at);
  }
}

std::string kind_of(const nlattr* information) {
  std::string kind;
  each_attribute(mnl_attr_get_payload(information), mnl_attr_get_payload_len(information),
                 [&](const nlattr* at) {
                   if (mnl_attr_get_type(at) == IFLA_INFO_KIND) kind = mnl_attr_get_str(at);
                 });
  return kind;
}

Device device_of(const nlmsghdr* header) {
  const auto* fixed = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
  Device device = {.index = static_cast<uint32_t>(fixed->ifi_index),
                   .name = {},
                   .kind = {},
                   .loopback = (fixed->ifi_flags & IFF_LOOPBACK) != 0};
  const void* first = mnl_nlmsg_get_payload_offset(header, sizeof(*fixed));
  const int bytes = static_cast<int>(mnl_nlmsg_get_payload_len(header) - MNL_ALIGN(sizeof(*fixed)));
  each_attribute(first, bytes, [&](const nlattr* at) {
    switch (mnl_attr_get_type(at)) {
      case IFLA_IFNAME:
        device.name = mnl_attr_get_str(at);
        break;
      case IFLA_LINK:
        device.link = mnl_attr_get_u32(at);
        break;
      case IFLA_LINK_NETNSID:
        device.link_namespace = static_cast<int32_t>(mnl_attr_get_u32(at));
        break;
      case IFLA_LINKINFO:
        device.kind = kind_of(at);
        break;
      default:
        break;
    }
  });
  return device;
}

Result<std::vector<Device>> get_devices(uint32_t index) {
  std::vector<char> buffer(kBufferBytes);
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETLINK;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | (index ? 0 : NLM_F_DUMP));
  auto* fixed = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
  fixed->ifi_index = static_cast<int>(index);
  std::vector<Device> devices;
  auto done = ask(header, [&](const nlmsghdr* answer) {
    if (answer->nlmsg_type == RTM_NEWLINK) devices.push_back(device_of(answer));
  });
  if (!done) return std::unexpected(done.error());
  return devices;
}

// The number by which the namespace of this thread knows another one; -1: it does not.
int32_t number_here(const Fd& other) {
  char buffer[256] = {};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = RTM_GETNSID;
  header->nlmsg_flags = NLM_F_REQUEST;
  mnl_nlmsg_put_extra_header(header, sizeof(rtgenmsg));
  mnl_attr_put_u32(header, NETNSA_FD, static_cast<uint32_t>(other.get()));
  int32_t number = -1;
  (void)ask(header, [&](const nlmsghdr* answer) {
    const void* first = mnl_nlmsg_get_payload_offset(answer, sizeof(rtgenmsg));
    const int bytes = static_cast<int>(mnl_nlmsg_get_payload_len(answer) - MNL_ALIGN(sizeof(rtgenmsg)));
    each_attribute(first, bytes, [&](const nlattr* at) {
      if (mnl_attr_get_type(at) == NETNSA_NSID) number = static_cast<int32_t>(mnl_attr_get_u32(at));
    });
  });
  return number;
}

// In the node's namespace: is the device that a pod's end names its other end? Numbers alone prove nothing:
// each namespace counts from 1.
bool is_node_end(const Device& pod_end, const Fd& pod) {
  const auto found = get_devices(pod_end.link);
  if (!found || found->size() != 1) return false;
  const Device& other = found->front();
  return other.kind == "veth" && other.link == pod_end.index && other.link_namespace >= 0 &&
         other.link_namespace == number_here(pod);
}

// On top of a device outside, or a real one.
bool leads_out(const Device& device) {
  return !device.loopback && device.kind != "veth" && (device.kind.empty() || device.link_namespace >= 0);
}

std::string text_of(const Device& device, const std::string& kind) {
  return device.name + " (" + kind + ")";
}

PodDevices sort_devices(const std::vector<Device>& devices, const Fd& pod) {
  PodDevices sorted;
  std::vector<std::string> elsewhere;
  for (const Device& device : devices) {
    if (leads_out(device)) {
      sorted.others.push_back(text_of(device, device.kind.empty() ? "no virtual device" : device.kind));
    } else if (device.kind == "veth" && device.link_namespace >= 0) {
      if (is_node_end(device, pod))
        sorted.node_ends.push_back(device.link);
      else
        elsewhere.push_back(text_of(device, "veth to a namespace that is not the node's"));
    }
  }
  // Beside an end on the node, pairs that end elsewhere lead to namespaces which the pod itself has made.
  if (sorted.node_ends.empty()) sorted.others.insert(sorted.others.end(), elsewhere.begin(), elsewhere.end());
  std::sort(sorted.node_ends.begin(), sorted.node_ends.end());
  return sorted;
}

}  // namespace

Result<std::vector<Device>> list_devices() {
  return get_devices(0);
}

Result<PodDevices> find_pod_devices(const Fd& pod, const Fd& node) {
  std::vector<Device> devices;
  PodDevices sorted;
  auto done = in_namespace(pod, "of a pod", [&]() -> Result<void> {
    auto listed = list_devices();
    if (!listed) return std::unexpected(listed.error());
    devices = std::move(*listed);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  done = in_namespace(node, "of the node", [&]() -> Result<void> {
    sorted = sort_devices(devices, pod);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return sorted;
}

}  // namespace cellwall
