// SPDX-License-Identifier: Apache-2.0
#include "cgroup_path.h"

#include <gtest/gtest.h>

namespace cellwall {
namespace {

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

struct Case {
  std::string path;
  std::string runtime;  // empty: no container
  std::string pod_uid;
  std::string below;  // what of the path is below the container
};

class CgroupPath : public ::testing::TestWithParam<Case> {};

TEST_P(CgroupPath, names_runtime_pod_and_container) {
  const Case& given = GetParam();
  const auto parsed = parse_cgroup_path(given.path);
  ASSERT_EQ(parsed.has_value(), !given.runtime.empty()) << given.path;
  if (!parsed) return;
  EXPECT_EQ(parsed->runtime, given.runtime) << given.path;
  EXPECT_EQ(parsed->runtime_id, kId) << given.path;
  EXPECT_EQ(parsed->pod_uid, given.pod_uid) << given.path;
  EXPECT_EQ(given.path.substr(parsed->length), given.below);
}

const std::string kSlice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_22.slice/";

INSTANTIATE_TEST_SUITE_P(
    , CgroupPath,
    ::testing::Values(
        Case{"/kubepods/besteffort/pod0a1b-22/" + kId, "containerd", "0a1b-22", ""},
        Case{"/x/kubepods/pod0a1b-22/" + kId + "/init/a", "containerd", "0a1b-22", "/init/a"},
        Case{kSlice + "cri-containerd-" + kId + ".scope", "containerd", "0a1b-22", ""},
        Case{kSlice + "crio-" + kId + ".scope", "cri-o", "0a1b-22", ""},
        Case{kSlice + "crio-" + kId + ".scope/container", "cri-o", "0a1b-22", "/container"},
        Case{kSlice + "crio-conmon-" + kId + ".scope", "", "", ""},
        Case{kSlice + "docker-" + kId + ".scope", "docker", "0a1b-22", ""},
        Case{"/system.slice/docker-" + kId + ".scope", "docker", "", ""},
        Case{"/docker/" + kId, "docker", "", ""},
        Case{"/machine.slice/libpod-" + kId + ".scope/container", "podman", "", "/container"},
        Case{"/machine.slice/libpod-conmon-" + kId + ".scope", "", "", ""},
        Case{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope", "podman",
             "", ""},
        Case{"/libpod_parent/libpod-" + kId, "podman", "", ""},
        Case{"/system.slice/nerdctl-" + kId + ".scope", "containerd", "", ""},
        Case{"/docker/" + kOther +
                 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod0a1b_22.slice/cri-containerd-" +
                 kId + ".scope",
             "containerd", "0a1b-22", ""},
        Case{"/default/" + kId, "unknown", "", ""}, Case{"", "", "", ""}, Case{"/", "", "", ""},
        Case{"/kubepods/besteffort/pod0a1b-22", "", "", ""}, Case{"/system.slice/ssh.service", "", "", ""},
        Case{"/docker/" + kId.substr(1), "", "", ""}, Case{"/docker/" + std::string(64, 'G'), "", "", ""}));

}  // namespace
}  // namespace cellwall
