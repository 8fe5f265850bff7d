// SPDX-License-Identifier: Apache-2.0
//
// One case for each shape that is known. Where the shapes come from:
//   containerd  pkg/cri: getCgroupsPath ("<slice>:cri-containerd:<id>" or "<parent>/<id>");
//   oci.WithNamespacedCgroup kubelet     pkg/kubelet/cm: pod_container_manager_linux.go,
//   cgroup_manager_linux.go; static pods: config/common.go CRI-O       internal/config/cgmgr:
//   systemd_linux.go, cgroupfs_linux.go; crun's sub-cgroup: stats_linux.go Docker      daemon/oci_linux.go,
//   WithCgroups; rootless: docs.docker.com/engine/security/rootless Podman
//   libpod/container_internal_linux.go, getOCICgroupPath; runtime_pod_linux.go; podman-run(1) --cgroups=split
//   nerdctl     pkg/cmd/container/run_cgroup_linux.go, generateCgroupPath
//   kind        kubelet --cgroup-root=/kubelet (pkg/cluster/internal/kubeadm/config.go)
//   BuildKit    executor/runcexecutor: ids of 25 characters, not of 64 digits
// Seen on real containers by the tests in test/integration: containerd, Docker and Podman with cgroupfs.
#include "cgroup_path.h"

#include <gtest/gtest.h>

namespace cellwall {
namespace {

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

struct Case {
  std::string name;
  std::string path;
  std::string runtime;  // empty: no container
  std::string pod_uid;
  std::string below;  // what of the path is below the container
};

class CgroupPath : public ::testing::TestWithParam<Case> {};

TEST_P(CgroupPath, is_read) {
  const Case& given = GetParam();
  const auto parsed = parse_cgroup_path(given.path);
  ASSERT_EQ(parsed.has_value(), !given.runtime.empty()) << given.path;
  if (!parsed) return;
  EXPECT_EQ(parsed->runtime, given.runtime) << given.path;
  EXPECT_EQ(parsed->runtime_id, kId) << given.path;
  EXPECT_EQ(parsed->pod_uid, given.pod_uid) << given.path;
  EXPECT_EQ(given.path.substr(parsed->length), given.below);
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

const std::string kUid = "0f9c1d22-5c01-41e9-8e4e-42010a800002";
const std::string kSlicedUid = "0f9c1d22_5c01_41e9_8e4e_42010a800002";
const std::string kHash = "9f8e7d6c5b4a39281706f5e4d3c2b1a0";  // of a static pod's configuration

const std::string kPods = "/kubepods.slice/";
const std::string kBurstable =
    kPods + "kubepods-burstable.slice/kubepods-burstable-pod" + kSlicedUid + ".slice/";
const std::string kBestEffort =
    kPods + "kubepods-besteffort.slice/kubepods-besteffort-pod" + kSlicedUid + ".slice/";
const std::string kGuaranteed = kPods + "kubepods-pod" + kSlicedUid + ".slice/";
const std::string kStatic = kPods + "kubepods-burstable.slice/kubepods-burstable-pod" + kHash + ".slice/";
const std::string kFsPod = "/kubepods/burstable/pod" + kUid + "/";
const std::string kUser = "/user.slice/user-1000.slice/user@1000.service/";

const std::string kContainerd = "cri-containerd-" + kId + ".scope";
const std::string kCrio = "crio-" + kId;
const std::string kDocker = "docker-" + kId + ".scope";
const std::string kNodeScope = "docker-" + kOther + ".scope/";  // a container that is a node

INSTANTIATE_TEST_SUITE_P(
    of_containerd, CgroupPath,
    ::testing::Values(
        Case{"systemd_burstable", kBurstable + kContainerd, "containerd", kUid, ""},
        Case{"systemd_besteffort", kBestEffort + kContainerd, "containerd", kUid, ""},
        Case{"systemd_guaranteed", kGuaranteed + kContainerd, "containerd", kUid, ""},
        Case{"systemd_static_pod", kStatic + kContainerd, "containerd", kHash, ""},
        Case{"cgroupfs_burstable", kFsPod + kId, "containerd", kUid, ""},
        Case{"cgroupfs_besteffort", "/kubepods/besteffort/pod" + kUid + "/" + kId, "containerd", kUid, ""},
        Case{"cgroupfs_guaranteed", "/kubepods/pod" + kUid + "/" + kId, "containerd", kUid, ""},
        Case{"cgroupfs_static_pod", "/kubepods/burstable/pod" + kHash + "/" + kId, "containerd", kHash, ""},
        Case{"cgroupfs_below_another_root", "/x" + kFsPod + kId, "containerd", kUid, ""},
        Case{"kubelet_with_systemd_and_runc_with_cgroupfs",
             "/system.slice/containerd.service/kubepods-burstable-pod" + kSlicedUid +
                 ".slice:cri-containerd:" + kId,
             "containerd", kUid, ""},
        Case{"without_a_parent", "/k8s.io/" + kId, "containerd", "", ""},
        Case{"nerdctl_systemd", "/system.slice/nerdctl-" + kId + ".scope", "containerd", "", ""},
        Case{"nerdctl_rootless", kUser + "user.slice/nerdctl-" + kId + ".scope", "containerd", "", ""},
        Case{"nerdctl_cgroupfs", "/default/" + kId, "containerd", "", ""},
        Case{"nerdctl_cgroupfs_in_another_namespace", "/build/" + kId, "unknown", "", ""},
        Case{"ctr_with_a_name_of_choice", "/default/redis", "", "", ""}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    of_crio, CgroupPath,
    ::testing::Values(Case{"systemd_burstable", kBurstable + kCrio + ".scope", "cri-o", kUid, ""},
                      Case{"systemd_besteffort", kBestEffort + kCrio + ".scope", "cri-o", kUid, ""},
                      Case{"systemd_guaranteed", kGuaranteed + kCrio + ".scope", "cri-o", kUid, ""},
                      Case{"systemd_static_pod", kStatic + kCrio + ".scope", "cri-o", kHash, ""},
                      Case{"systemd_sub_cgroup_of_crun", kBurstable + kCrio + ".scope/container", "cri-o",
                           kUid, "/container"},
                      Case{"sandbox_without_a_process", kBurstable + kCrio, "cri-o", kUid, ""},
                      Case{"systemd_conmon", kBurstable + "crio-conmon-" + kId + ".scope", "", "", ""},
                      Case{"cgroupfs", kFsPod + kCrio, "cri-o", kUid, ""},
                      Case{"cgroupfs_sub_cgroup_of_crun", kFsPod + kCrio + "/container", "cri-o", kUid,
                           "/container"},
                      Case{"cgroupfs_conmon", kFsPod + "crio-conmon-" + kId, "", "", ""},
                      Case{"cgroupfs_without_a_parent", "/crio/" + kCrio, "cri-o", "", ""},
                      Case{"systemd_without_a_parent", "/system.slice/" + kCrio + ".scope", "cri-o", "", ""}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    of_docker, CgroupPath,
    ::testing::Values(
        Case{"systemd", "/system.slice/" + kDocker, "docker", "", ""},
        Case{"systemd_in_a_slice_of_choice", "/apps.slice/apps-web.slice/" + kDocker, "docker", "", ""},
        Case{"cgroupfs", "/docker/" + kId, "docker", "", ""},
        Case{"cgroupfs_below_a_parent_of_choice", "/apps/" + kId, "unknown", "", ""},
        Case{"rootless", kUser + "user.slice/" + kDocker, "docker", "", ""},
        Case{"rootless_in_the_app_slice", kUser + "app.slice/" + kDocker, "docker", "", ""},
        Case{"for_kubernetes_systemd", kBurstable + kDocker, "docker", kUid, ""},
        Case{"in_docker", "/system.slice/" + kNodeScope + "docker/" + kId, "docker", "", ""},
        Case{"in_docker_cgroupfs", "/docker/" + kOther + "/docker/" + kId, "docker", "", ""},
        Case{"own_processes_in_docker", "/system.slice/" + kDocker + "/init", "docker", "", "/init"},
        Case{"with_systemd_inside", "/system.slice/" + kDocker + "/system.slice/ssh.service", "docker", "",
             "/system.slice/ssh.service"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    of_podman, CgroupPath,
    ::testing::Values(
        Case{"systemd", "/machine.slice/libpod-" + kId + ".scope", "podman", "", ""},
        Case{"systemd_sub_cgroup_of_crun", "/machine.slice/libpod-" + kId + ".scope/container", "podman", "",
             "/container"},
        Case{"systemd_conmon", "/machine.slice/libpod-conmon-" + kId + ".scope", "", "", ""},
        Case{"with_systemd_inside",
             "/machine.slice/libpod-" + kId + ".scope/container/system.slice/a.service", "podman", "",
             "/container/system.slice/a.service"},
        Case{"rootless", kUser + "user.slice/libpod-" + kId + ".scope", "podman", "", ""},
        Case{"rootless_sub_cgroup_of_crun", kUser + "user.slice/libpod-" + kId + ".scope/container", "podman",
             "", "/container"},
        Case{"rootless_conmon", kUser + "user.slice/libpod-conmon-" + kId + ".scope", "", "", ""},
        Case{"cgroupfs", "/libpod_parent/libpod-" + kId, "podman", "", ""},
        Case{"cgroupfs_conmon", "/libpod_parent/conmon", "", "", ""},
        Case{"in_a_pod_systemd",
             "/machine.slice/machine-libpod_pod_" + kOther + ".slice/libpod-" + kId + ".scope", "podman", "",
             ""},
        Case{"in_a_pod_rootless",
             kUser + "user.slice/user-libpod_pod_" + kOther + ".slice/libpod-" + kId + ".scope", "podman", "",
             ""},
        Case{"in_a_pod_cgroupfs", "/libpod_parent/" + kOther + "/libpod-" + kId, "podman", "", ""},
        Case{"pod_itself_systemd", "/machine.slice/machine-libpod_pod_" + kId + ".slice", "", "", ""},
        Case{"pod_itself_cgroupfs", "/libpod_parent/" + kId, "", "", ""},
        Case{"of_a_service", "/system.slice/nginx.service/libpod-payload-" + kId, "podman", "", ""},
        Case{"of_a_service_of_a_user", kUser + "app.slice/redis.service/libpod-payload-" + kId, "podman", "",
             ""},
        Case{"of_a_service_from_a_template",
             kUser + "app.slice/app-shop.slice/shop@8000.service/libpod-payload-" + kId + "/container",
             "podman", "", "/container"},
        Case{"helpers_of_a_service", "/system.slice/nginx.service/runtime", "", "", ""},
        Case{"in_a_slice_whose_name_begins_as_a_pod", "/podman/" + kId, "unknown", "", ""}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    of_nodes_in_containers, CgroupPath,
    ::testing::Values(
        Case{"kind_systemd",
             "/system.slice/" + kNodeScope +
                 "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
                 "kubelet-kubepods-burstable-pod" +
                 kSlicedUid + ".slice/" + kContainerd,
             "containerd", kUid, ""},
        Case{"kind_cgroupfs", "/docker/" + kOther + "/kubelet" + kFsPod + kId, "containerd", kUid, ""},
        Case{"kind_in_podman",
             "/machine.slice/libpod-" + kOther + ".scope/container/kubelet.slice/kubelet-kubepods.slice/" +
                 "kubelet-kubepods-pod" + kSlicedUid + ".slice/" + kContainerd,
             "containerd", kUid, ""},
        Case{"kind_own_processes", "/system.slice/" + kDocker + "/kubelet.slice/kubelet.service", "docker",
             "", "/kubelet.slice/kubelet.service"},
        Case{"k3s_cgroupfs", "/kubepods/burstable/pod" + kUid + "/" + kId, "containerd", kUid, ""},
        Case{"k3s_systemd", kBestEffort + kContainerd, "containerd", kUid, ""},
        Case{"k3d", "/docker/" + kOther + "/kubepods/besteffort/pod" + kUid + "/" + kId, "containerd", kUid,
             ""},
        Case{"minikube_with_docker",
             "/system.slice/" + kNodeScope + "kubepods.slice/kubepods-pod" + kSlicedUid + ".slice/" + kDocker,
             "docker", kUid, ""},
        Case{"minikube_with_crio",
             "/system.slice/" + kNodeScope + "kubepods.slice/kubepods-pod" + kSlicedUid + ".slice/" + kCrio +
                 ".scope/container",
             "cri-o", kUid, "/container"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    of_others, CgroupPath,
    ::testing::Values(Case{"nothing", "", "", "", ""}, Case{"root", "/", "", "", ""},
                      Case{"service", "/system.slice/ssh.service", "", "", ""},
                      Case{"runtime_itself", "/system.slice/containerd.service", "", "", ""},
                      Case{"pod_without_its_containers", "/kubepods/besteffort/pod" + kUid, "", "", ""},
                      Case{"step_of_buildkit_in_docker",
                           "/system.slice/docker-ab3kq0y7c1z5m8n2p4r6t9v0x.scope", "", "", ""},
                      Case{"step_of_buildkit", "/buildkit/ab3kq0y7c1z5m8n2p4r6t9v0x", "", "", ""},
                      Case{"machine_of_nspawn", "/machine.slice/systemd-nspawn@web.service/payload", "", "",
                           ""},
                      Case{"system_container_of_lxc", "/lxc.payload.web/system.slice", "", "", ""},
                      Case{"session_of_a_user", "/user.slice/user-1000.slice/session-3.scope", "", "", ""},
                      Case{"id_too_short", "/docker/" + kId.substr(1), "", "", ""},
                      Case{"id_too_long", "/docker/" + kId + "a", "", "", ""},
                      Case{"id_of_other_characters", "/docker/" + std::string(64, 'G'), "", "", ""},
                      Case{"unit_with_a_short_id", "/a.slice:cri-containerd:12", "", "", ""},
                      Case{"colons_and_nothing_else", "/::", "", "", ""}),
    name_of);

}  // namespace
}  // namespace cellwall
